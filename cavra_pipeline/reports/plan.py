"""The retry plan (contract section 6): retry, wait or suppress for each failing pair of a lane at an instant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from cavra_pipeline.boundary.judge import actor_label
from cavra_pipeline.documents import (
    DEFAULT_GENERATED_BY,
    PRODUCT,
    SCHEMA_PREFIX,
    ascending,
    count_seen,
    identify,
    instant,
    naive_utc,
    spread,
)
from cavra_pipeline.lanes import Lane
from cavra_pipeline.reports.incidents import open_incidents
from cavra_pipeline.reports.policy import RetryPolicy
from cavra_pipeline.reports.stretches import stretches
from cavra_pipeline.retention.horizon import require_answerable
from cavra_pipeline.sql import statement
from cavra_pipeline.warehouse import Session

_PACKAGE: Final = "cavra_pipeline.reports"
_DECISION: Final = (
    "provider", "action", "reason", "retry_count", "max_retry_attempts", "retry_delay_minutes", "first_delivery_id",
    "latest_delivery_id", "latest_delivery_at", "next_retry_at", "failed_status_codes", "provider_incident_id",
)  # fmt: skip


def retry_plans(
    session: Session,
    lane: Lane,
    policy: RetryPolicy,
    *,
    instants: Sequence[datetime],
    now: datetime,
    generated_by: str = DEFAULT_GENERATED_BY,
) -> list[dict[str, Any]]:
    """Makes the retry plan of a lane as of each instant, in one pass over the evidence.

    Args:
        session: An open warehouse.
        lane: The retry ladder.
        policy: Bounds and delays.
        instants: The instants of the plans, in any order.
        now: When the plans are made; only ``generated_at`` shows it.
        generated_by: Actor label of who asked.

    Returns:
        A plan for each instant, in the order of the instants; decisions that are the same are shared.

    Raises:
        UsageError: The label is not public-safe, or the evidence of an instant has been pruned.
    """
    generated_by = actor_label(generated_by, where="generated_by")
    require_answerable(session, instants)
    plans: dict[datetime, dict[str, Any]] = {}
    for stretch in stretches(session, [lane], ascending(instants)):
        counted = session.rows(_PACKAGE, "count_deliveries", {"lane": lane.name, "instants": stretch})
        decided = decided_retries(session, lane, policy, stretch)
        decisions = spread(decided, len(stretch), lambda row: _decision(row, lane, policy))
        counts = {
            action: count_seen((row for row in decided if row["action"] == action), len(stretch))
            for action in ("retry", "wait", "suppress")
        }
        names = open_incidents(session, stretch) if decided else None
        for n, at in enumerate(stretch):
            actions = {action: count[n] for action, count in counts.items()}
            rests_on = counted[n]["evidence_record_count"]
            plan = _plan(lane, policy, at, decisions[n], actions, rests_on, instant(now), generated_by)
            # Beside the decisions and outside the id: other lanes decide what an incident is.
            if names:
                plan["retry_decisions"] = names.beside(at, lane, decisions[n])
            plans[at] = plan
    return [plans[naive_utc(at)] for at in instants]


def decided_retries(
    session: Session, lane: Lane, policy: RetryPolicy, instants: Sequence[datetime]
) -> list[dict[str, Any]]:
    """Decides on each failing pair of a lane.

    Args:
        session: An open warehouse.
        lane: The retry ladder.
        policy: Bounds and delays.
        instants: One of the lane's ``stretches``.

    Returns:
        A row for each decision and the instants that see it, ``first_seen`` to ``last_seen``, numbered from 1.
    """
    return session.rows(
        _PACKAGE,
        "decide_retries",
        {
            "lane": lane.name,
            "instants": instants,
            **_delay_parameters(policy),
            "non_retryable": list(policy.non_retryable_status_codes),
        },
        delay=statement(_PACKAGE, "columns_retry_delay"),
    )


def retry_delays(session: Session, policy: RetryPolicy) -> list[timedelta]:
    """Returns the delay after the first failure, the second and so on, up to the last that is retried."""
    delay = statement(_PACKAGE, "columns_retry_delay")
    rows: list[dict[str, Any]] = session.rows(_PACKAGE, "retry_delays", _delay_parameters(policy), delay=delay)
    return [timedelta(microseconds=row["delay_microseconds"]) for row in rows]


def _delay_parameters(policy: RetryPolicy) -> dict[str, object]:
    return {
        "base_minutes": float(policy.base_retry_delay_minutes),
        "multiplier": float(policy.backoff_multiplier),
        "max_minutes": float(policy.max_retry_delay_minutes),
        "max_attempts": policy.max_retry_attempts,
    }


def _plan(
    lane: Lane,
    policy: RetryPolicy,
    at: datetime,
    decisions: list[dict[str, object]],
    actions: Mapping[str, int],
    rests_on: object,
    generated_at: str | None,
    generated_by: str,
) -> dict[str, Any]:
    retryable, waiting, suppressed = actions["retry"], actions["wait"], actions["suppress"]
    plan: dict[str, Any] = {
        "schema_version": f"{SCHEMA_PREFIX}{lane.kinds.retry_plan}.v1",
        "product": PRODUCT,
        "lane": lane.name,
        "retry_plan_id": "",
        "as_of": instant(at),
        "generated_at": generated_at,
        "generated_by": generated_by,
        "alert_level": "critical" if retryable or suppressed else "warning" if waiting else "healthy",
        "decision_count": len(decisions),
        "retryable_count": retryable,
        "waiting_count": waiting,
        "suppressed_count": suppressed,
        "evidence_record_count": rests_on,
        **policy_in_force(policy),
        "retry_decisions": decisions,
    }
    plan["retry_plan_id"] = identify(f"retry-plan-{lane.name}", plan)
    return plan


def policy_in_force(policy: RetryPolicy) -> dict[str, Any]:
    """Returns what a plan says of the policy that it was made by."""
    return {
        "max_retry_attempts": policy.max_retry_attempts,
        "base_retry_delay_minutes": policy.base_retry_delay_minutes,
        "allow_immediate_retry": policy.allow_immediate_retry,
        "backoff_multiplier": policy.backoff_multiplier,
        "max_retry_delay_minutes": policy.max_retry_delay_minutes,
        "non_retryable_status_codes": list(policy.non_retryable_status_codes),
    }


def _decision(row: Mapping[str, object], lane: Lane, policy: RetryPolicy) -> dict[str, object]:
    members = {
        **row,
        lane.subject_field: row["subject"],
        "max_retry_attempts": policy.max_retry_attempts,
        "latest_delivery_at": instant(row["latest_delivery_at"]),
        "next_retry_at": instant(row["next_retry_at"]),
    }
    return {name: members[name] for name in decision_columns(lane) if name != "provider_incident_id"}


def decision_columns(lane: Lane) -> list[str]:
    """Returns the members of the decisions of a lane, in order: the columns of a plan as CSV."""
    return [lane.subject_field, *([lane.decision_field] if lane.decision_field else []), *_DECISION]
