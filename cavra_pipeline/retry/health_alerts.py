"""The alert about a lane's health, for people: through which connectors it goes now, and what it says.

Only what evidence says counts: an alert that CAVRA sent a while ago suppresses ours, and ours its next one here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from cavra_pipeline.boundary.judge import actor_label
from cavra_pipeline.documents import PRODUCT, SCHEMA_PREFIX, identify, instant, naive_utc
from cavra_pipeline.errors import UsageError
from cavra_pipeline.evidence.emitted import record
from cavra_pipeline.lanes import LANES, Lane
from cavra_pipeline.reports.health import HealthParameters, retry_health_reports
from cavra_pipeline.retry.first_delivery import Announcement
from cavra_pipeline.warehouse import Session

#: How many alerts a message lists, and for how long a connector that was notified is left alone, in minutes.
MAX_ALERTS: Final = 20
WINDOW_MINUTES: Final = 60
MAX_WINDOW_MINUTES: Final = 10_080
_PACKAGE: Final = "cavra_pipeline.retry"
_COUNTED: Final = (
    "alert_count", "failed_execution_count", "missed_worker_count", "retryable_count", "selected_retry_count",
)  # fmt: skip
_RECORDED: Final = (
    "plan_id", "health_id", "alert_level", "selected_providers", "suppressed_providers",
    "acknowledgement_required_providers", "suppressed_provider_count", "suppression_window_minutes",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class AlertRequest:
    """Request for a health alert.

    Attributes:
        lane: A lane that delivers health alerts.
        parameters: What the health is judged by.
        requested: How the request named the connectors.
        connectors: Which these are.
        generated_by: Actor label of who asks.
        window_minutes: How long a connector is left alone after an alert that is at least as severe arrived.
        is_forced: Whether that does not matter.
        max_alerts: Alerts that the message lists at most.
    """

    lane: Lane
    parameters: HealthParameters
    requested: str
    connectors: Sequence[str]
    generated_by: str
    window_minutes: int = WINDOW_MINUTES
    is_forced: bool = False
    max_alerts: int = MAX_ALERTS


@dataclass(frozen=True, slots=True)
class HealthAlert:
    """A health report, the plan of who is notified of it, and the message; the plan's record is the message's."""

    health: dict[str, Any]
    plan: dict[str, Any]
    announcement: Announcement


def health_alert(session: Session, request: AlertRequest, *, now: datetime) -> HealthAlert:
    """Makes the alert about the health of the lane whose alerts the request's lane delivers.

    No one is notified of a lane without alerts. A connector is suppressed if an alert that is at least as severe has
    arrived through it less than the window ago.

    Args:
        session: An open warehouse.
        request: What is asked for.
        now: The instant of the report.

    Raises:
        UsageError: A value is not accepted, or the evidence of the report's window has been pruned.
    """
    lane, by = request.lane, actor_label(request.generated_by, where="generated_by")
    if not 0 <= request.window_minutes <= MAX_WINDOW_MINUTES:
        raise UsageError(
            "the value is not accepted",
            where="suppression_window_minutes",
            remedy=f"Give an integer from 0 to {MAX_WINDOW_MINUTES}",
        )
    judged = LANES[str(lane.alerts_of)]
    (health,) = retry_health_reports(session, judged, request.parameters, instants=[now], now=now, generated_by=by)
    plan = _plan(session, request, health, now=now, by=by)
    level, alerts = plan["alert_level"], health["alerts"]
    lines = [f"{alert['severity'].capitalize()}: {alert['message']}" for alert in alerts[: request.max_alerts]]
    more = len(alerts) - request.max_alerts
    said = Announcement(
        lane=lane,
        subject={"health_id": plan["health_id"], "plan_id": plan["plan_id"]},
        title=f"CAVRA {judged.name.replace('_', ' ')}: health is {level}",
        summary="\n".join([*lines, *([f"And {more:,} more."] if more > 0 else [])]),
        alert_level=level,
        facts={"alerts": ", ".join(alert["category"] for alert in alerts)},
        generated_by=by,
        records=[_record(request, plan, now=now)],
        requested_at=now,
    )
    return HealthAlert(health, plan, said)


def _plan(session: Session, request: AlertRequest, health: dict[str, Any], *, now: datetime, by: str) -> dict[str, Any]:
    eligible = list(request.connectors)
    notified = set() if request.is_forced or not health["alerts"] else _notified(session, request, health, now=now)
    selected = [name for name in eligible if health["alerts"] and name not in notified]
    suppressed = [name for name in eligible if name in notified]
    plan: dict[str, Any] = {
        "schema_version": f"{SCHEMA_PREFIX}{request.lane.kind_stem}-plan.v1",
        "product": PRODUCT,
        "plan_id": "",
        "health_id": health["health_id"],
        "generated_at": instant(now),
        "generated_by": by,
        "alert_level": health["alert_level"],
        "requested_provider": request.requested,
        "eligible_providers": eligible,
        "selected_providers": selected,
        "suppressed_providers": suppressed,
        "suppressed_provider_count": len(suppressed),
        "acknowledgement_required_providers": selected,
        "suppression_window_minutes": request.window_minutes,
        "force": request.is_forced,
        "source_health_generated_at": health["generated_at"],
        "summary": {name: health[name] for name in _COUNTED},
    }
    plan["plan_id"] = identify(f"health-alert-plan-{request.lane.name}", plan)
    return plan


def _notified(session: Session, request: AlertRequest, health: dict[str, Any], *, now: datetime) -> set[str]:
    """The connectors through which an alert that is at least as severe arrived in the window before now."""
    parameters: dict[str, object] = {
        "lane": request.lane.name,
        "after": naive_utc(now - timedelta(minutes=request.window_minutes)),
        "as_of": naive_utc(now),
        "levels": ["critical"] if health["alert_level"] == "critical" else ["critical", "warning"],
    }
    return {str(row["provider"]) for row in session.rows(_PACKAGE, "notified_connectors", parameters)}


def _record(request: AlertRequest, plan: dict[str, Any], *, now: datetime) -> dict[str, Any]:
    return record(
        f"{request.lane.kind_stem}-plan",
        session_id=plan["plan_id"],
        created_at=now,
        signer=plan["generated_by"],
        decision_count=len(plan["eligible_providers"]),
        approval_required_count=len(plan["acknowledgement_required_providers"]),
        **{name: plan[name] for name in _RECORDED},
    )
