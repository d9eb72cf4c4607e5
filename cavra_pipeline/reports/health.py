"""The retry-health report (contract section 7): one lane, one instant, exact to the microsecond."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from cavra_pipeline.boundary.judge import actor_label
from cavra_pipeline.documents import (
    DEFAULT_GENERATED_BY,
    PRODUCT,
    SCHEMA_PREFIX,
    ascending,
    identify,
    instant,
    naive_utc,
    whole_minutes,
)
from cavra_pipeline.errors import Accepts, checked
from cavra_pipeline.lanes import LANES, Lane
from cavra_pipeline.reports.cadence import MISSED_AFTER
from cavra_pipeline.reports.health_alerts import alerts_for
from cavra_pipeline.reports.health_facts import facts_of
from cavra_pipeline.reports.incidents import open_incidents
from cavra_pipeline.reports.stretches import stretches
from cavra_pipeline.retention.horizon import require_answerable
from cavra_pipeline.warehouse import Session

_PACKAGE: Final = "cavra_pipeline.reports"
MAX_MINUTES: Final = 525_600
MAX_WINDOW_HOURS: Final = 87_600
DEFAULT_WINDOW_HOURS: Final = 168
#: The level of a lane that is not in use.
UNKNOWN: Final = "unknown"
#: What of a report waits for a person, pair by pair.
_GAPS: Final = ("acknowledgement_gaps", "approval_gaps")


_Minutes = Annotated[int, Field(ge=1, le=MAX_MINUTES), Accepts()]


class HealthParameters(BaseModel):
    """What a health report is judged by. The API, the command line and run configuration take the same fields."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    expected_interval_minutes: _Minutes = Field(
        description="The worker's cadence; the lane's own if not given.", examples=[30]
    )
    stale_metadata_minutes: _Minutes = Field(
        description="Age over which the newest retry plan is stale; the lane's own if not given.", examples=[120]
    )
    window_hours: Annotated[int, Field(ge=1, le=MAX_WINDOW_HOURS), Accepts()] = Field(
        DEFAULT_WINDOW_HOURS, description="How far back the counts in the window reach, in hours.", examples=[168]
    )


def health_parameters(lane: Lane, **values: Any) -> HealthParameters:
    """Returns the parameters, the lane's own where none are given.

    Raises:
        UsageError: A value is unknown or outside what is accepted; the message names it.
    """
    set_values = {name: value for name, value in values.items() if value is not None}
    defaults = {name: getattr(lane, name) for name in ("expected_interval_minutes", "stale_metadata_minutes")}
    return checked(HealthParameters, {**defaults, **set_values})


def retry_health_reports(
    session: Session,
    lane: Lane,
    parameters: HealthParameters,
    *,
    instants: Sequence[datetime],
    now: datetime,
    generated_by: str = DEFAULT_GENERATED_BY,
) -> list[dict[str, Any]]:
    """Makes the health report of a lane as of each instant, in one pass over the evidence.

    Args:
        session: An open warehouse.
        lane: The retry ladder.
        parameters: What it is judged by.
        instants: The instants of the reports, in any order.
        now: When the reports are made; only ``generated_at`` shows it.
        generated_by: Actor label of who asked.

    Returns:
        A report for each instant, in the order of the instants; gaps that are the same are shared.

    Raises:
        UsageError: The label is not public-safe, or evidence of a window has been pruned.
    """
    generated_by = actor_label(generated_by, where="generated_by")
    require_answerable(session, instants, looks_back=timedelta(hours=parameters.window_hours))
    cache = session.cache()
    keys = {at: (_PACKAGE, lane.name, parameters, generated_by, at) for at in ascending(instants)}
    if missing := [at for at in keys if keys[at] not in cache]:
        for stretch in stretches(session, [lane], missing):
            reports = _reports(session, lane, parameters, instants=stretch, now=now, generated_by=generated_by)
            cache.update({keys[at]: report for at, report in zip(stretch, reports, strict=True)})
    return [{**cache[keys[naive_utc(at)]], "generated_at": instant(now)} for at in instants]


def health_of_lanes(
    session: Session, *, instants: Sequence[datetime], now: datetime, **values: Any
) -> dict[str, list[dict[str, Any]]]:
    """Makes the health reports of every lane, by name; each by its own parameters where ``values`` gives none."""
    return {
        lane.name: retry_health_reports(session, lane, health_parameters(lane, **values), instants=instants, now=now)
        for lane in LANES.values()
    }


def lanes_in_use(session: Session, *, as_of: datetime, now: datetime) -> list[Lane]:
    """Returns the lanes that are in use at an instant (contract section 7): those whose health is not unknown."""
    health = health_of_lanes(session, instants=[as_of], now=now)
    return [lane for lane in LANES.values() if health[lane.name][0]["alert_level"] != UNKNOWN]


def _reports(
    session: Session,
    lane: Lane,
    parameters: HealthParameters,
    *,
    instants: Sequence[datetime],
    now: datetime,
    generated_by: str,
) -> list[dict[str, Any]]:
    """Makes the report of each instant; the instants are ascending, in UTC without a zone."""
    interval, window = parameters.expected_interval_minutes, parameters.window_hours
    facts = facts_of(session, lane, instants, interval_minutes=interval, window_hours=window)
    generated: dict[str, Any] = {"generated_at": instant(now), "generated_by": generated_by}
    reports = [
        _report(lane, parameters, at, instant_facts, **generated)
        for at, instant_facts in zip(instants, facts, strict=True)
    ]
    if any(report[gaps] for report in reports for gaps in _GAPS):
        # Beside the gaps and outside the id: other lanes decide what an incident is.
        names = open_incidents(session, instants)
        for at, report in zip(instants, reports, strict=True):
            report.update({gaps: names.beside(at, lane, report[gaps]) for gaps in _GAPS})
    return reports


def _report(
    lane: Lane,
    parameters: HealthParameters,
    at: datetime,
    facts: dict[str, Any],
    *,
    generated_at: str | None,
    generated_by: str,
) -> dict[str, Any]:
    """Puts one report together from what the statements found for its instant."""
    interval = timedelta(minutes=parameters.expected_interval_minutes)
    worker_age = _age(at, facts["latest_worker_run_at"])
    plan_age = _age(at, facts["latest_retry_plan_at"])
    stale_after = timedelta(minutes=parameters.stale_metadata_minutes)
    is_in_use = lane.is_always_in_use or facts["evidence_record_count"] > 0
    outages = facts["outages"] if is_in_use else []
    report: dict[str, Any] = {
        "schema_version": f"{SCHEMA_PREFIX}{lane.kinds.health}.v1",
        "product": PRODUCT,
        "lane": lane.name,
        "health_id": "",
        "as_of": instant(at),
        "generated_at": generated_at,
        "generated_by": generated_by,
        "alert_level": "",
        "alert_count": 0,
        "expected_interval_minutes": parameters.expected_interval_minutes,
        "stale_metadata_minutes": parameters.stale_metadata_minutes,
        "window_hours": parameters.window_hours,
        "evidence_record_count": facts["evidence_record_count"],
        "future_record_count": facts["future_record_count"],
        "latest_worker_run_id": facts["latest_worker_run_id"],
        "latest_worker_age_minutes": None if worker_age is None else whole_minutes(worker_age),
        "missed_worker_count": int(is_in_use and (worker_age is None or worker_age > MISSED_AFTER * interval)),
        "missed_run_count": sum(int(str(outage["missed_runs"])) for outage in outages),
        "latest_retry_plan_id": facts["latest_retry_plan_id"],
        "latest_retry_plan_age_minutes": None if plan_age is None else whole_minutes(plan_age),
        "stale_retry_plan_count": int(is_in_use and (plan_age is None or plan_age > stale_after)),
        **_counts(lane, facts),
        "alerts": [],
        "recommended_actions": [],
        "outages": outages,
        "acknowledgement_gaps": facts["acknowledgement_gaps"],
        "approval_gaps": facts["approval_gaps"],
    }
    if not is_in_use:
        return _named({**report, "alert_level": UNKNOWN}, lane)
    skipped = {reason: count for reason, count in facts["unresolved_executions"].items() if reason}
    return _with_alerts(report, lane, skipped, is_schedule_disabled=facts["is_schedule_enabled"] is False)


def _counts(lane: Lane, facts: Mapping[str, Any]) -> dict[str, Any]:
    """What a report counts, in the contract's order."""
    return {
        "retry_plan_count": facts["retry_plan_count"],
        "worker_run_count": facts["worker_run_count"],
        "dry_run_count": facts["dry_run_count"],
        "execution_record_count": facts["execution_record_count"],
        "retryable_count": facts["retryable_count"],
        "selected_retry_count": facts["selected_retry_count"],
        lane.failed_delivery_field: facts["failed_delivery_count"],
        "unresolved_delivery_count": facts["unresolved_delivery_count"],
        "failed_after_delivery_count": facts["failed_after_delivery_count"],
        "acknowledgement_pending_count": len(facts["acknowledgement_gaps"]),
        "approval_pending_count": len(facts["approval_gaps"]),
        "outstanding_alert_acknowledgement_count": facts["outstanding_alert_acknowledgement_count"],
        "failed_execution_count": facts["failed_execution_count"],
        "delivered_execution_count": facts["delivered_execution_count"],
        "skipped_execution_count": facts["skipped_execution_count"],
        "skipped_reasons": facts["skipped_reasons"],
        "unresolved_failed_execution_count": sum(facts["unresolved_executions"].values()),
        "disabled_schedule_count": facts["disabled_schedule_count"],
    }


def _with_alerts(
    report: dict[str, Any], lane: Lane, skipped: Mapping[str, int], *, is_schedule_disabled: bool
) -> dict[str, Any]:
    """Completes a report with the alerts that its figures call for, their level, and its id."""
    alerts = list(alerts_for(report, lane, skipped=skipped, is_schedule_disabled=is_schedule_disabled))
    report["alerts"] = [{key: alert[key] for key in ("severity", "category", "message")} for alert in alerts]
    report["recommended_actions"] = [alert["action"] for alert in alerts]
    report["alert_count"] = len(alerts)
    report["alert_level"] = alert_level([alert["severity"] for alert in alerts])
    return _named(report, lane)


def _named(report: dict[str, Any], lane: Lane) -> dict[str, Any]:
    return {**report, "health_id": identify(f"retry-health-{lane.name}", report)}


def alert_level(severities: list[str]) -> str:
    """Returns the level of the worst alert: critical, warning or healthy."""
    return next((level for level in ("critical", "warning") if level in severities), "healthy")


def _age(at: datetime, moment: object) -> timedelta | None:
    return at - moment if isinstance(moment, datetime) else None
