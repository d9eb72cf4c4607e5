"""A lane at a glance: what its newest health report and retry plan say, and what each of its alerts is based on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from cavra_pipeline.documents import instant, naive_utc, parse_as_of
from cavra_pipeline.lanes import Gate, Lane
from cavra_pipeline.recoveries.causes import cause_of
from cavra_pipeline.reports.cadence import outage_open_since, usual_interval_of
from cavra_pipeline.reports.clearance import declined_states, held_pairs
from cavra_pipeline.reports.executions import unresolved_pairs
from cavra_pipeline.reports.health_alerts import RULES
from cavra_pipeline.reports.outstanding import AlertKinds, outstanding_pairs
from cavra_pipeline.reports.plan import retry_plans
from cavra_pipeline.reports.policy import retry_policy
from cavra_pipeline.warehouse import Session

_PACKAGE: Final = "cavra_pipeline.reports"
#: A provider fails now if so many deliveries have failed since it last accepted one.
_MANY_FAILING: Final = 3
_OF_HEALTH: Final = (
    "alert_level", "alert_count", "latest_worker_run_id", "latest_worker_age_minutes", "latest_retry_plan_id",
    "latest_retry_plan_age_minutes", "unresolved_delivery_count", "acknowledgement_pending_count",
    "approval_pending_count", "failed_execution_count", "unresolved_failed_execution_count", "evidence_record_count",
    "acknowledgement_gaps", "approval_gaps",
)  # fmt: skip
_OF_PLAN: Final = ("retryable_count", "waiting_count", "suppressed_count")
#: Type of the records that an alert is based on, by the fact that its rule counts.
_BASED_ON: Final = {
    "missed_worker_count": "worker_run",
    "is_schedule_disabled": "worker_run",
    "stale_retry_plan_count": "retry_plan",
    "outstanding_alert_acknowledgement_count": "alert_plan",
    "unresolved_failed_execution_count": "execution",
    "acknowledgement_pending_count": "delivery",
    "approval_pending_count": "delivery",
    "unresolved_delivery_count": "delivery",
}


def lane_at_a_glance(
    session: Session, lane: Lane, health: Mapping[str, Any], *, as_of: datetime, now: datetime
) -> dict[str, Any]:
    """Returns a lane's level, counts and alerts at an instant, each alert with the deliveries that it is about."""
    plan = retry_plans(session, lane, retry_policy(lane), instants=[as_of], now=now)[0]
    gated = held_pairs(session, lane, plan, naive_utc(as_of))
    pairs = {
        "acknowledgement_pending_count": health["acknowledgement_gaps"],
        "approval_pending_count": health["approval_gaps"],
        "unresolved_delivery_count": plan["retry_decisions"],
        "unresolved_failed_execution_count": unresolved_pairs(session, lane, naive_utc(as_of)),
    }
    loose = [decision for decision in plan["retry_decisions"] if decision["provider_incident_id"] is None]
    counted = {rule.category(lane): rule.count for rule in RULES}
    return {
        "lane": lane.name,
        "subject_field": lane.subject_field,
        "expected_interval_minutes": lane.expected_interval_minutes,
        "stale_metadata_minutes": lane.stale_metadata_minutes,
        "retry_delay_minutes": lane.retry_delay_minutes,
        "live_needs": lane.gate.value,
        "live_needs_acknowledgement": lane.gate is Gate.ACKNOWLEDGEMENT,
        "acknowledgement_states": list(lane.acknowledgement_states),
        **{name: health[name] for name in _OF_HEALTH},
        **{name: plan[name] for name in _OF_PLAN},
        "held_count": len(gated["retry"]),
        "held_when_due_count": len(gated["wait"]),
        "declined_counts": _declined_counts(session, lane, gated["retry"], naive_utc(as_of)),
        "failing_without_incident": dict(sorted(Counter(decision["provider"] for decision in loose).items())),
        "causes_without_incident": _by_cause(loose, _accepted_at(session, loose, naive_utc(as_of))),
        "alerts": [
            {
                **alert,
                "action": action,
                "record_type": _BASED_ON[counted[alert["category"]]],
                "pairs": _named(lane, pairs.get(counted[alert["category"]], ())),
            }
            for alert, action in zip(health["alerts"], health["recommended_actions"], strict=True)
        ],
        "outstanding_acknowledgements": outstanding_pairs(session, AlertKinds.of(lane), naive_utc(as_of)),
        "outage_open_since": outage_open_since(health["outages"]),
        "usual_interval_minutes": usual_interval_of(health),
        "oldest_gap_since": _first(gap["since"] for gap in health["acknowledgement_gaps"]),
    }


def _declined_counts(session: Session, lane: Lane, pairs: Sequence[tuple[str, str]], at: datetime) -> dict[str, int]:
    """How many of the held retries a person has decided against, by the state."""
    return dict(sorted(Counter(declined_states(session, lane, pairs, at).values()).items()))


def _accepted_at(session: Session, decisions: Sequence[Mapping[str, Any]], at: datetime) -> dict[str, datetime]:
    """When each provider of failing deliveries last accepted one of any lane, since the first of these failures."""
    if not decisions:
        return {}
    since = min(parse_as_of(decision["latest_delivery_at"]) for decision in decisions)
    providers = sorted({decision["provider"] for decision in decisions})
    parameters = {"since": naive_utc(since), "until": at, "providers": providers}
    accepted: dict[str, datetime] = {}
    rows: list[dict[str, Any]] = session.rows(_PACKAGE, "newest_successes", parameters)
    for row in rows:
        accepted[row["provider"]] = max(row["success_at"], accepted.get(row["provider"], row["success_at"]))
    return accepted


def _by_cause(decisions: Iterable[Mapping[str, Any]], accepted_at: Mapping[str, datetime]) -> list[dict[str, Any]]:
    """Failing deliveries by provider and by the cause that the statuses of each have in common."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for decision in decisions:
        cause = cause_of(decision["failed_status_codes"] or [None])
        groups.setdefault((decision["provider"], cause), []).append(decision)
    causes = []
    for (provider, cause), rows in sorted(groups.items()):
        accepted = accepted_at.get(provider)
        failed = [naive_utc(parse_as_of(row["latest_delivery_at"])) for row in rows]
        failed_since_count = sum(accepted is None or at > accepted for at in failed)
        causes.append({
            "provider": provider,
            "cause": cause,
            "delivery_count": len(rows),
            "status_codes": sorted({code for row in rows for code in row["failed_status_codes"]}),
            "failed_at": max(row["latest_delivery_at"] for row in rows),
            "accepted_at": instant(accepted),
            "is_failing_now": is_failing_now(min(failed), accepted, failed_since_count),
        })  # fmt: skip
    return causes


def is_failing_now(first_failed_at: datetime, accepted_at: datetime | None, failed_since_count: int) -> bool:
    """Returns whether a provider fails now: it has accepted nothing since the first of its failures, or since several.

    Args:
        first_failed_at: The first of the failures that have not been delivered since.
        accepted_at: When the provider last accepted a delivery.
        failed_since_count: How many deliveries have failed since then.
    """
    return accepted_at is None or accepted_at < first_failed_at or failed_since_count >= _MANY_FAILING


def _named(lane: Lane, rows: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """The deliveries of rows that name the subject as the lane does, or as the warehouse."""
    return [{"subject": row.get(lane.subject_field, row.get("subject")), "provider": row["provider"]} for row in rows]


def _first(instants: Iterable[str | None]) -> str | None:
    return min((at for at in instants if at), default=None)
