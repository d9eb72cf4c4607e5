"""The retry-health report (contract section 7): one lane, one instant, exact to the microsecond."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cavra_pipeline.boundary.judge import actor_label
from cavra_pipeline.documents import (
    DEFAULT_GENERATED_BY,
    PRODUCT,
    SCHEMA_PREFIX,
    ascending,
    count_standing,
    identify,
    instant,
    naive_utc,
    spread,
    whole_minutes,
)
from cavra_pipeline.errors import Accepts, refusal
from cavra_pipeline.health.alerts import alerts_for
from cavra_pipeline.lanes import ANSWERING_STATES, CLEARING_STATES, CLOSING_STATES, Gate, Lane
from cavra_pipeline.reports.approvals import approvals
from cavra_pipeline.reports.plan import decided_retries
from cavra_pipeline.reports.policy import retry_policy
from cavra_pipeline.reports.stretches import stretches
from cavra_pipeline.retention.horizon import require_answerable
from cavra_pipeline.warehouse import Session

_PACKAGE: Final = "cavra_pipeline.health"
MAX_MINUTES: Final = 525_600
MAX_WINDOW_HOURS: Final = 87_600
DEFAULT_WINDOW_HOURS: Final = 168


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
    given = {name: value for name, value in values.items() if value is not None}
    defaults = {name: getattr(lane, name) for name in ("expected_interval_minutes", "stale_metadata_minutes")}
    try:
        return HealthParameters.model_validate({**defaults, **given})
    except ValidationError as error:
        raise refusal(error, fields=HealthParameters.model_fields) from None


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
    known = session.known()
    of = {at: (_PACKAGE, lane.name, parameters, generated_by, at) for at in ascending(instants)}
    if unknown := [at for at in of if of[at] not in known]:
        for asked in stretches(session, lane, unknown):
            made = _reports(session, lane, parameters, asked=asked, now=now, generated_by=generated_by)
            known.update({of[at]: report for at, report in zip(asked, made, strict=True)})
    return [{**known[of[naive_utc(at)]], "generated_at": instant(now)} for at in instants]


def _reports(
    session: Session,
    lane: Lane,
    parameters: HealthParameters,
    *,
    asked: Sequence[datetime],
    now: datetime,
    generated_by: str,
) -> list[dict[str, Any]]:
    """Makes the report of each instant; the instants are ascending, in UTC without a zone."""
    window = timedelta(hours=parameters.window_hours)
    interval = timedelta(minutes=parameters.expected_interval_minutes)
    about: dict[str, object] = {"lane": lane.name, "instants": asked}
    windowed = {**about, "window_starts": [_before(at, window) for at in asked]}
    starts = windowed["window_starts"]
    runs_since = _newest_before(session, lane, "worker_run", starts)
    plans_since = _newest_before(session, lane, "retry_plan", starts)

    records = session.rows(_PACKAGE, "lane_records", about)
    newest: list[dict[str, Any]] = session.rows(
        _PACKAGE, "newest_records", {**about, "runs_since": runs_since, "plans_since": plans_since}
    )
    counts = session.rows(_PACKAGE, "windowed_counts", windowed)
    executions = _unresolved_executions(session, about, len(asked))
    unresolved = session.rows(_PACKAGE, "unresolved_deliveries", {**about, "clearing": CLEARING_STATES})
    failing = count_standing(unresolved, len(asked))
    is_acknowledged = lane.gate is Gate.ACKNOWLEDGEMENT
    unanswered = [r for r in unresolved if not r["is_acknowledged"]] if is_acknowledged else []
    gaps = spread(unanswered, len(asked), lambda row: _gap(row, lane))
    unapproved = _approval_gaps(session, lane, asked)
    outstanding = _by_number(
        session.rows(_PACKAGE, "outstanding_acknowledgements", {**about, "answering": ANSWERING_STATES})
    )
    skipped = _by_number(session.rows(_PACKAGE, "skipped_reasons", windowed))
    ended = spread(
        session.rows(
            _PACKAGE,
            "outages",
            {**windowed, "runs_since": runs_since, "interval_minutes": parameters.expected_interval_minutes},
        ),
        len(asked),
        lambda row: _outage(row["run_at"], row["next_run_at"], row["next_run_at"] - row["run_at"], interval),
    )
    reports: list[dict[str, Any]] = []
    for n, at in enumerate(asked):
        facts: dict[str, Any] = {
            **records[n],
            **newest[n],
            **counts[n],
            "unresolved_executions": executions[n],
            "unresolved_delivery_count": failing[n],
            "acknowledgement_gaps": gaps[n],
            "approval_gaps": unapproved[n],
            "outstanding_alert_acknowledgement_count": len(outstanding.get(n + 1, ())),
            "skipped_reasons": {str(row["reason"]): row["skipped_count"] for row in skipped.get(n + 1, ())},
            "outages": [*ended[n], *_open_outage(at, newest[n]["latest_worker_run_at"], interval)],
        }
        reports.append(
            _report(
                lane,
                parameters,
                at,
                facts,
                generated_at=instant(now),
                generated_by=generated_by,
            )
        )
    return reports


def _newest_before(session: Session, lane: Lane, record_type: str, starts: object) -> object:
    asked = {"lane": lane.name, "record_type": record_type, "window_starts": starts}
    rows = session.rows(_PACKAGE, "newest_before", asked)
    return rows[0]["created_at"] if rows else None


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
        "schema_version": f"{SCHEMA_PREFIX}{lane.health_kind}.v1",
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
        "missed_worker_count": int(is_in_use and (worker_age is None or worker_age > 2 * interval)),
        "missed_run_count": sum(int(str(outage["missed_runs"])) for outage in outages),
        "latest_retry_plan_id": facts["latest_retry_plan_id"],
        "latest_retry_plan_age_minutes": None if plan_age is None else whole_minutes(plan_age),
        "stale_retry_plan_count": int(is_in_use and (plan_age is None or plan_age > stale_after)),
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
        "alerts": [],
        "recommended_actions": [],
        "outages": outages,
        "acknowledgement_gaps": facts["acknowledgement_gaps"],
        "approval_gaps": facts["approval_gaps"],
    }
    if not is_in_use:
        return _named({**report, "alert_level": "unknown"}, lane)
    skipped = {reason: count for reason, count in facts["unresolved_executions"].items() if reason}
    return _with_alerts(report, lane, skipped, is_schedule_disabled=facts["is_schedule_enabled"] is False)


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


def _before(moment: datetime, span: timedelta) -> datetime:
    try:
        return moment - span
    except OverflowError:
        return datetime.min  # noqa: DTZ901 -- the warehouse keeps UTC without a zone


def _age(at: datetime, moment: object) -> timedelta | None:
    return at - moment if isinstance(moment, datetime) else None


def _outage(run_at: datetime, ended_at: datetime | None, missed: timedelta, interval: timedelta) -> dict[str, object]:
    return {
        "started_at": instant(run_at + interval),
        "ended_at": instant(ended_at),
        "missed_runs": missed // interval - 1,
    }


def _open_outage(at: datetime, latest: datetime | None, interval: timedelta) -> list[dict[str, object]]:
    """The outage that has not ended: none, or one; a lane whose worker never ran has one without a start."""
    if latest is None:
        return [{"started_at": None, "ended_at": None, "missed_runs": 1}]
    return [_outage(latest, None, at - latest, interval)] if at - latest > 2 * interval else []


def _gap(row: Mapping[str, Any], lane: Lane) -> dict[str, object]:
    return {
        lane.subject_field: row["subject"],
        "provider": row["provider"],
        "since": instant(row["failing_since"]),
        "acknowledgement_state": row["acknowledgement_state"],
    }


def _approval_gaps(session: Session, lane: Lane, asked: Sequence[datetime]) -> list[list[dict[str, object]]]:
    """At each instant the pairs to retry by the lane's own policy that have no approval (contract section 7)."""
    gaps: list[list[dict[str, object]]] = [[] for _ in asked]
    if lane.gate is not Gate.APPROVAL:
        return gaps
    known = approvals(session, lane, asked)
    for row in decided_retries(session, lane, retry_policy(lane), asked):
        for n in range(row["first_seen"] - 1, row["last_seen"]) if row["action"] == "retry" else ():
            state, is_approved = known.at((row["subject"], row["provider"]), asked[n])
            if not is_approved:
                beside = {lane.decision_field: row[lane.decision_field]} if lane.decision_field else {}
                gaps[n].append(
                    {
                        lane.subject_field: row["subject"],
                        **beside,
                        "provider": row["provider"],
                        "since": instant(row["failing_since"]),
                        "approval_state": state or None,
                    }
                )
    return gaps


def _unresolved_executions(session: Session, about: dict[str, object], instants: int) -> list[dict[str, int]]:
    """At each instant how many pairs' executions are unresolved, by why they were skipped; empty if they failed."""
    standing: list[dict[str, int]] = [{} for _ in range(instants)]
    rows: list[dict[str, Any]] = session.rows(_PACKAGE, "unresolved_executions", {**about, "closing": CLOSING_STATES})
    for row in rows:
        for counted in standing[row["first_seen"] - 1 : row["last_seen"]]:
            counted[row["reason"]] = counted.get(row["reason"], 0) + row["execution_count"]
    return standing


def _by_number(rows: Sequence[Mapping[str, Any]]) -> dict[int, list[Mapping[str, Any]]]:
    """Rows by the number of the instant that they are of."""
    numbered: dict[int, list[Mapping[str, Any]]] = {}
    for row in rows:
        numbered.setdefault(int(row["number"]), []).append(row)
    return numbered
