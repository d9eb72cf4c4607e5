"""Delivers what is evidence already: an escalation plan, or a scheduled run of the executive report, by its id.

How a message reads is in ``publish.py``, how it is stored in ``stored.py``; ``retry/first_delivery.py`` sends it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from cavra_pipeline.documents import PRODUCT, SCHEMA_PREFIX, instant, naive_utc
from cavra_pipeline.executive.escalation import OWN_PLAN_PREFIX
from cavra_pipeline.executive.publish import MAX_RISKS, MAX_ROUTES, plan_message, report_message
from cavra_pipeline.executive.report import executive_reports
from cavra_pipeline.executive.stored import RunSchedule, store_escalation_plan, store_schedule_run
from cavra_pipeline.lanes import LANES, Lane
from cavra_pipeline.recoveries.history import RecoveryParameters
from cavra_pipeline.retry.first_delivery import Announcement
from cavra_pipeline.settings import Settings
from cavra_pipeline.warehouse import Session

_PACKAGE: Final = "cavra_pipeline.executive"
#: Where people are notified if no one says where, as in CAVRA.
DEFAULT_CONNECTORS: Final = ("webhook",)
_LEVELS: Final = ("critical", "warning", "healthy")


@dataclass(frozen=True, slots=True)
class Stored:
    """What is evidence and can be delivered.

    Attributes:
        document: Its allowlisted fields, by CAVRA's names.
        session_id: Its record.
        announcement: Its message; nothing of it has to be recorded any more.
        is_empty: Whether it has nothing to notify anybody of.
    """

    document: dict[str, Any]
    session_id: str
    announcement: Announcement
    is_empty: bool = False


def stored_plan(
    session: Session, plan_id: str | None, _parameters: RecoveryParameters, *, now: datetime, by: str, most: int | None
) -> Stored | None:
    """Returns an escalation plan that is evidence, ready to be delivered.

    Args:
        session: An open warehouse.
        plan_id: The plan; the newest if it is None.
        now: Records created later do not exist.
        by: Actor label of who delivers it.
        most: Routes that the message lists at most; the usual number if it is None.

    Returns:
        The plan, or None if there is none of that id.
    """
    row = _row(session, "stored_plan", plan_id=plan_id, as_of=naive_utc(now))
    if row is None:
        return None
    routes = [_without_nulls(route) for route in row["escalation_routes"] or []]
    made_at = row["created_at"].replace(tzinfo=UTC)
    open_count = sum(bool(route.get("playbook_id")) for route in routes)
    plan = {
        "schema_version": f"{SCHEMA_PREFIX}recovery-escalation-plan.v1",
        **_envelope(row, made_at),
        **{name: row[name] for name in ("plan_id", "recovery_report_id", "escalation_count")},
        "open_recovery_count": open_count if routes else row["escalation_count"] or 0,
        "slo_breached_count": row["slo_breached_count"] or 0,
        "failed_execution_count": row["failed_execution_count"] or 0,
        "selected_providers": row["selected_providers"] or [],
        "escalation_routes": routes,
    }
    message = replace(plan_message(plan, max_routes=most or MAX_ROUTES), generated_by=by)
    return Stored(plan, row["session_id"], message, is_empty=row["escalation_count"] == 0)


def _plan_channels(plan: Mapping[str, Any], settings: Settings) -> Sequence[str]:
    """A plan's own channels, else those of the host.

    CAVRA's plans name in their place what is broken, which is never a channel (contract section 11).
    """
    plan_channels = plan["selected_providers"] if str(plan["plan_id"]).startswith(OWN_PLAN_PREFIX) else []
    return plan_channels or settings.escalation_connectors or DEFAULT_CONNECTORS


def stored_run(
    session: Session, run_id: str | None, parameters: RecoveryParameters, *, now: datetime, by: str, most: int | None
) -> Stored | None:
    """Returns a scheduled run of the executive report that is evidence, ready to be delivered.

    The message says what the report as of the run's instant says, from the evidence of now.

    Args:
        session: An open warehouse.
        run_id: The run; the newest if it is None.
        parameters: The limit by which the message calls a recovery late.
        now: Records created later do not exist.
        by: Actor label of who delivers it.
        most: Key risks that the message lists at most; the usual number if it is None.

    Returns:
        The run, or None if there is none of that id.

    Raises:
        UsageError: The evidence of that instant has been pruned.
    """
    row = _row(session, "stored_run", run_id=run_id, as_of=naive_utc(now))
    if row is None:
        return None
    made_at = row["created_at"].replace(tzinfo=UTC)
    (report,) = executive_reports(
        session, instants=[made_at], now=now, slo_minutes=parameters.slo_minutes, generated_by=by
    )
    report_id = row["executive_report_id"] or report["executive_report_id"]
    schedule = {"enabled": row["schedule_enabled"], "interval_minutes": row["schedule_interval_minutes"]}
    run = {
        "schema_version": f"{SCHEMA_PREFIX}recovery-executive-report-schedule-run.v1",
        **_envelope(row, made_at),
        "run_id": row["run_id"],
        "executive_report_id": report_id,
        "schedule": _without_nulls(schedule),
        "summary": _without_nulls({"escalation_count": row["escalation_count"]}),
    }
    named = {**report, "executive_report_id": report_id}
    message = report_message(named, run_id=row["run_id"], max_risks=most or MAX_RISKS)
    return Stored(run, row["session_id"], message)


def _row(session: Session, statement: str, **parameters: object) -> dict[str, Any] | None:
    return next(iter(session.rows(_PACKAGE, statement, parameters)), None)


def _envelope(row: Mapping[str, Any], made_at: datetime) -> dict[str, Any]:
    level = row["alert_level"] if row["alert_level"] in _LEVELS else "unknown"
    return {
        "product": PRODUCT,
        "generated_at": instant(made_at),
        "generated_by": row["signer"] or "",
        "alert_level": level,
    }


def _without_nulls(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Deliverable:
    """What is stored and can be delivered by its id.

    Attributes:
        name: What CAVRA's answers call it.
        title: What CAVRA calls it where there is none.
        lane: The lane of its deliveries.
        find: Returns the one of an id, or the newest.
        store: Makes a new one and stores it.
        channels: Returns the connectors that it goes through if no one names any.
    """

    name: str
    title: str
    lane: Lane
    find: Callable[..., Stored | None]
    store: Callable[[Settings, RecoveryParameters, str, datetime], object]
    channels: Callable[[Mapping[str, Any], Settings], Sequence[str]]


PLANS: Final = Deliverable(
    name="plan",
    title="recovery escalation plan",
    lane=LANES["recovery_escalation"],
    find=stored_plan,
    store=lambda settings, parameters, by, now: store_escalation_plan(settings, parameters, generated_by=by, now=now),
    channels=_plan_channels,
)
RUNS: Final = Deliverable(
    name="run",
    title="recovery executive report schedule run",
    lane=LANES["executive_report"],
    find=stored_run,
    store=lambda settings, parameters, by, now: store_schedule_run(
        settings, RunSchedule.model_validate({}), parameters, generated_by=by, now=now
    ),
    channels=lambda _run, _settings: DEFAULT_CONNECTORS,
)
