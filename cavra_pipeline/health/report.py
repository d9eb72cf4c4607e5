"""The retry-health report (contract section 7): one lane, one instant, exact to the microsecond."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from cavra_pipeline.documents import (
    DEFAULT_GENERATED_BY,
    PRODUCT,
    SCHEMA_PREFIX,
    identify,
    instant,
    naive_utc,
    whole_minutes,
)
from cavra_pipeline.errors import UsageError
from cavra_pipeline.evidence.boundary import actor_label
from cavra_pipeline.health.alerts import alerts_for
from cavra_pipeline.lanes import Lane
from cavra_pipeline.warehouse import Session

_PACKAGE: Final = "cavra_pipeline.health"
MAX_MINUTES: Final = 525_600
MAX_WINDOW_HOURS: Final = 87_600
DEFAULT_WINDOW_HOURS: Final = 168


@dataclass(frozen=True, slots=True)
class HealthParameters:
    """What a health report is judged by.

    Attributes:
        expected_interval_minutes: The worker's cadence.
        stale_metadata_minutes: Age over which the newest retry plan is stale.
        window_hours: How far back the counts in the window reach.
    """

    expected_interval_minutes: int
    stale_metadata_minutes: int
    window_hours: int


def health_parameters(
    lane: Lane,
    *,
    expected_interval_minutes: int | None = None,
    stale_metadata_minutes: int | None = None,
    window_hours: int | None = None,
) -> HealthParameters:
    """Returns the parameters, the lane's own where none are given.

    Raises:
        UsageError: A value is outside what is accepted; the message names it.
    """

    def bounded(name: str, value: Any, default: int, high: int) -> int:
        if value is None:
            return default
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= high:
            raise UsageError("the value is not accepted", where=name, remedy=f"Give an integer from 1 to {high}")
        return value

    return HealthParameters(
        bounded(
            "expected_interval_minutes",
            expected_interval_minutes,
            lane.expected_interval_minutes,
            MAX_MINUTES,
        ),
        bounded("stale_metadata_minutes", stale_metadata_minutes, lane.stale_metadata_minutes, MAX_MINUTES),
        bounded("window_hours", window_hours, DEFAULT_WINDOW_HOURS, MAX_WINDOW_HOURS),
    )


def retry_health(
    session: Session,
    lane: Lane,
    parameters: HealthParameters,
    *,
    as_of: datetime,
    now: datetime,
    generated_by: str = DEFAULT_GENERATED_BY,
) -> dict[str, Any]:
    """Makes the health report of a lane.

    Args:
        session: An open warehouse.
        lane: The retry ladder.
        parameters: What it is judged by.
        as_of: The instant of the report; later records are counted and otherwise do not exist.
        now: When the report is made; only ``generated_at`` shows it.
        generated_by: Actor label of who asked.

    Returns:
        The report as the contract names its fields.

    Raises:
        UsageError: The label is not public-safe.
    """
    generated_by = actor_label(generated_by, where="generated_by")
    at = naive_utc(as_of)
    asked: dict[str, object] = {"lane": lane.name, "as_of": at}
    windowed = {**asked, "window_start": _before(at, timedelta(hours=parameters.window_hours))}
    interval = timedelta(minutes=parameters.expected_interval_minutes)

    records = session.rows(_PACKAGE, "lane_records", asked)[0]
    runs = session.rows(_PACKAGE, "worker_runs", windowed)[0]
    plans = session.rows(_PACKAGE, "retry_plans", windowed)[0]
    executions = session.rows(_PACKAGE, "executions", windowed)[0]
    unresolved = session.rows(_PACKAGE, "unresolved_deliveries", asked)
    outages = _outages(session, windowed, parameters, has_run=runs["latest_worker_run_at"] is not None)
    gaps = [_gap(row, lane) for row in unresolved if lane.live_needs_acknowledgement and not row["is_acknowledged"]]

    worker_age = _age(at, runs["latest_worker_run_at"])
    plan_age = _age(at, plans["latest_retry_plan_at"])
    stale_after = timedelta(minutes=parameters.stale_metadata_minutes)
    report: dict[str, Any] = {
        "schema_version": f"{SCHEMA_PREFIX}{lane.health_kind}.v1",
        "product": PRODUCT,
        "lane": lane.name,
        "health_id": "",
        "as_of": instant(as_of),
        "generated_at": instant(now),
        "generated_by": generated_by,
        "alert_level": "",
        "alert_count": 0,
        "expected_interval_minutes": parameters.expected_interval_minutes,
        "stale_metadata_minutes": parameters.stale_metadata_minutes,
        "window_hours": parameters.window_hours,
        "evidence_record_count": records["evidence_record_count"],
        "future_record_count": records["future_record_count"],
        "latest_worker_run_id": runs["latest_worker_run_id"],
        "latest_worker_age_minutes": None if worker_age is None else whole_minutes(worker_age),
        "missed_worker_count": int(worker_age is None or worker_age > 2 * interval),
        "missed_run_count": sum(outage["missed_runs"] for outage in outages),
        "latest_retry_plan_id": plans["latest_retry_plan_id"],
        "latest_retry_plan_age_minutes": None if plan_age is None else whole_minutes(plan_age),
        "stale_retry_plan_count": int(plan_age is None or plan_age > stale_after),
        "retry_plan_count": plans["retry_plan_count"],
        "worker_run_count": runs["worker_run_count"],
        "dry_run_count": runs["dry_run_count"],
        "execution_record_count": executions["execution_record_count"],
        "retryable_count": plans["retryable_count"],
        "selected_retry_count": runs["selected_retry_count"],
        lane.failed_delivery_field: session.rows(_PACKAGE, "failed_deliveries", windowed)[0]["failed_delivery_count"],
        "unresolved_delivery_count": len(unresolved),
        "acknowledgement_pending_count": len(gaps),
        "failed_execution_count": executions["failed_execution_count"],
        "delivered_execution_count": executions["delivered_execution_count"],
        "unresolved_failed_execution_count": executions["unresolved_failed_execution_count"],
        "disabled_schedule_count": runs["disabled_schedule_count"],
        "alerts": [],
        "recommended_actions": [],
        "outages": outages,
        "acknowledgement_gaps": gaps,
    }
    alerts = list(alerts_for(report, lane, is_schedule_disabled=runs["is_schedule_enabled"] is False))
    report["alerts"] = [{key: alert[key] for key in ("severity", "category", "message")} for alert in alerts]
    report["recommended_actions"] = [alert["action"] for alert in alerts]
    report["alert_count"] = len(alerts)
    report["alert_level"] = alert_level([alert["severity"] for alert in alerts])
    report["health_id"] = identify(f"retry-health-{lane.name}", report)
    return report


def alert_level(severities: list[str]) -> str:
    """Returns the level of the worst alert: critical, warning or healthy."""
    return next((level for level in ("critical", "warning") if level in severities), "healthy")


def _before(moment: datetime, span: timedelta) -> datetime:
    try:
        return moment - span
    except OverflowError:
        return datetime.min  # noqa: DTZ901 -- the warehouse keeps UTC without a zone


def _age(at: datetime, moment: object) -> timedelta | None:
    return at - moment if isinstance(moment, datetime) else None


def _outages(
    session: Session, windowed: dict[str, object], parameters: HealthParameters, *, has_run: bool
) -> list[dict[str, Any]]:
    if not has_run:
        return [{"started_at": None, "ended_at": None, "missed_runs": 1}]
    rows = session.rows(_PACKAGE, "outages", {**windowed, "interval_minutes": parameters.expected_interval_minutes})
    return [
        {
            "started_at": instant(r["started_at"]),
            "ended_at": instant(r["ended_at"]),
            "missed_runs": r["missed_runs"],
        }
        for r in rows
    ]


def _gap(row: dict[str, object], lane: Lane) -> dict[str, object]:
    return {
        lane.subject_field: row["subject"],
        "provider": row["provider"],
        "since": instant(row["failing_since"]),
        "acknowledgement_state": row["acknowledgement_state"],
    }
