"""The rules of the lanes as plain data, for those who check a report without this package."""

from __future__ import annotations

import json
from typing import Any, Final

from cavra_pipeline.boundary.fields import SKIP_REASONS
from cavra_pipeline.boundary.kinds import DELIVERY_KIND, KINDS
from cavra_pipeline.documents import SCHEMA_PREFIX
from cavra_pipeline.executive.counts import AUDITS, ESCALATIONS
from cavra_pipeline.lanes import (
    CLEARING_STATES,
    CLOSED_STATES,
    DECLINING_STATES,
    FAILURE_SOURCES,
    LANES,
    LOOKBACK_HOURS,
    Gate,
    Lane,
)
from cavra_pipeline.recoveries.causes import CAUSES
from cavra_pipeline.reports.cause_words import REASON_WORDS
from cavra_pipeline.reports.health_alerts import RULES
from cavra_pipeline.reports.plan import policy_in_force
from cavra_pipeline.reports.policy import retry_policy

#: Stands for records without a lane, as in the commit log.
NO_LANE: Final = ""


def lane_rules() -> dict[str, Any]:
    """Returns the rules of each lane by its name: names, kinds, default policy, alerts (contract sections 4 to 7).

    Under an empty name stand those of records without a lane, and of reports over all lanes (contract section 11).
    """
    return {lane.name: _rules(lane) for lane in LANES.values()} | {NO_LANE: _rules_of_all()}


def lane_rules_module() -> bytes:
    """Returns a Python module with the rules as ``LANES``."""
    # JSON is Python but for its three constants.
    text = json.dumps(lane_rules(), indent=1, sort_keys=True)
    return f'"""The rules of the lanes, as data."""\n\nimport json\n\nLANES = json.loads(r"""{text}""")\n'.encode()


def _rules_of_all() -> dict[str, Any]:
    return {
        "name": NO_LANE,
        "source": NO_LANE,
        "types": {kind.name: kind.record_type for kind in KINDS.values() if kind.lane is None},
        "delivery": DELIVERY_KIND,
        "lanes": list(LANES),
        "alerts": [rule.count for rule in RULES],
        "escalations": ESCALATIONS.name,
        "audits": AUDITS.name,
        "clearing": list(CLEARING_STATES),
        "closed_states": list(CLOSED_STATES),
        "failure_sources": list(FAILURE_SOURCES),
        "lookback_hours": LOOKBACK_HOURS,
        "causes": [[cause, *statuses] for cause, statuses in CAUSES],
        "executive_schema": f"{SCHEMA_PREFIX}recovery-executive-report.v1",
    }


def _rules(lane: Lane) -> dict[str, Any]:
    types = {kind.name: kind.record_type for kind in KINDS.values() if kind.lane == lane.name}
    return {
        "name": lane.name,
        "source": lane.delivery_source,
        "types": {DELIVERY_KIND: "delivery", **types},
        "subject_fields": list(lane.subject_fields),
        "subject_field": lane.subject_field,
        "decision_field": lane.decision_field,
        "retries_have_new_subjects": lane.retries_have_new_subjects,
        "is_always_in_use": lane.is_always_in_use,
        "delivers_alerts": lane.alerts_of is not None,
        "gate": {Gate.ACKNOWLEDGEMENT: "acknowledgement", Gate.APPROVAL: "approval"}.get(lane.gate),
        "clearing": list(CLEARING_STATES),
        "declining": list(DECLINING_STATES),
        "health": {name: getattr(lane, name) for name in ("expected_interval_minutes", "stale_metadata_minutes")},
        "policy": policy_in_force(retry_policy(lane)),
        "failed_delivery_field": lane.failed_delivery_field,
        "plan_schema": f"{SCHEMA_PREFIX}{lane.kinds.retry_plan}.v1",
        "health_schema": f"{SCHEMA_PREFIX}{lane.kinds.health}.v1",
        "reasons": {reason: REASON_WORDS[reason] for reason in (*SKIP_REASONS, "other")},
        "alerts": [
            [category, rule.severity, rule.count, list(rule.messages), rule.action]
            for rule in RULES
            if (category := rule.category(lane))
        ],
    }
