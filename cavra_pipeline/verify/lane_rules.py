"""The rules of the lanes as plain data, for those who check a report without this package."""

from __future__ import annotations

import json
from typing import Any

from cavra_pipeline.boundary.kinds import DELIVERY_KIND, KINDS
from cavra_pipeline.documents import SCHEMA_PREFIX
from cavra_pipeline.lanes import CLEARING_STATES, LANES, Gate, Lane
from cavra_pipeline.reports.health_alerts import RULES
from cavra_pipeline.reports.plan import policy_in_force
from cavra_pipeline.reports.policy import retry_policy


def lane_rules() -> dict[str, Any]:
    """Returns the rules of each lane by its name: names, kinds, default policy, alerts (contract sections 4 to 7)."""
    return {lane.name: _rules(lane) for lane in LANES.values()}


def lane_rules_module() -> bytes:
    """Returns a Python module with the rules as ``LANES``."""
    # JSON is Python but for its three constants.
    text = json.dumps(lane_rules(), indent=1, sort_keys=True)
    return f'"""The rules of the lanes, as data."""\n\nimport json\n\nLANES = json.loads(r"""{text}""")\n'.encode()


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
        "policy": policy_in_force(retry_policy(lane)),
        "failed_delivery_field": lane.failed_delivery_field,
        "plan_schema": f"{SCHEMA_PREFIX}{lane.retry_plan_kind}.v1",
        "health_schema": f"{SCHEMA_PREFIX}{lane.health_kind}.v1",
        "alerts": [
            [category, rule.severity, rule.count, list(rule.messages), rule.action]
            for rule in RULES
            if (category := rule.category(lane))
        ],
    }
