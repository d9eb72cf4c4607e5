"""Escalation plans, executive reports and their scheduled runs, made as of now and stored as evidence.

Nothing is sent here: what is stored can be delivered later by its id (``publish.py`` announces what is sent at once).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, field_validator

from cavra_pipeline.boundary.judge import is_safe_identifier
from cavra_pipeline.documents import PRODUCT, SCHEMA_PREFIX, instant
from cavra_pipeline.errors import Accepts
from cavra_pipeline.evidence.emitted import save_emitted_drop
from cavra_pipeline.evidence.ingest import ingest
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.executive.cavra_names import cavra_executive_report, cavra_plan, cavra_recovery_report
from cavra_pipeline.executive.escalation import escalation_plan
from cavra_pipeline.executive.publish import (
    INTERVAL_MINUTES,
    plan_record,
    report_record,
    report_run_id,
    schedule_run_record,
)
from cavra_pipeline.executive.report import executive_reports
from cavra_pipeline.recoveries.history import RecoveryParameters
from cavra_pipeline.settings import Settings
from cavra_pipeline.warehouse import Session

_MOST_MINUTES: Final = 525_600


class RunSchedule(BaseModel):
    """What a scheduled run says of its schedule; what is not declared is ignored, as CAVRA does."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    interval_minutes: Annotated[int, Field(ge=1, le=_MOST_MINUTES), Accepts()] = Field(
        INTERVAL_MINUTES, description="How often it runs, in minutes.", examples=[INTERVAL_MINUTES]
    )
    enabled: bool = Field(True, description="Whether the schedule is on.")
    cadence: str | None = Field(
        None, description="Its own word for how often; every_N_minutes if it has none.", max_length=256
    )

    @field_validator("cadence")
    @classmethod
    def _is_identifier(cls, text: str | None) -> str | None:
        if text and not is_safe_identifier(text):
            raise ValueError("not an identifier")
        return text

    def at(self, now: datetime) -> dict[str, Any]:
        """Returns the schedule as evidence has it, with the window that a run at this instant belongs to.

        The window begins at a whole interval of the hour; at the hour, where the interval is an hour or more.
        """
        minutes = self.interval_minutes
        start = now.replace(minute=now.minute // minutes * minutes if minutes < 60 else 0, second=0, microsecond=0)
        return {
            "interval_minutes": minutes,
            "window_start": instant(start),
            "window_end": instant(start + timedelta(minutes=minutes)),
            "enabled": self.enabled,
            "cadence": self.cadence or f"every_{minutes}_minutes",
        }


def store_escalation_plan(
    settings: Settings, parameters: RecoveryParameters, *, generated_by: str, now: datetime
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Makes the escalation plan of now and stores it as evidence; its channels are those of the host.

    Args:
        settings: The home.
        parameters: How long a recovery may be open.
        generated_by: Actor label of who asked.
        now: The instant of the plan.

    Returns:
        The plan with CAVRA's names beside ours, and the record that was written.

    Raises:
        UsageError: The label is not public-safe.
        PipelineError: Something can't be written.
    """
    ingest(settings, now=now)
    with warehouse_of(settings).reading() as session:
        plan = escalation_plan(
            session, as_of=now, now=now, slo_minutes=parameters.slo_minutes,
            providers=settings.escalation_connectors, generated_by=generated_by,
        )  # fmt: skip
        recoveries = cavra_recovery_report(session, parameters, as_of=now, now=now, generated_by=generated_by)
    written = plan_record(plan, made_at=now)
    save_emitted_drop(settings, written["session_id"], [written], now=now, act="record an escalation plan")
    return cavra_plan(plan, recoveries), written


def make_executive_report(
    session: Session, settings: Settings, parameters: RecoveryParameters, *, generated_by: str, now: datetime
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Makes the executive report of now; nothing is stored.

    Args:
        session: An open warehouse.
        settings: The home, for the channels of its escalation plan.
        parameters: How long a recovery may be open.
        generated_by: Actor label of who asked.
        now: The instant of the report.

    Returns:
        The report with CAVRA's names beside ours, and its evidence record.

    Raises:
        UsageError: The label is not public-safe.
    """
    (report,) = executive_reports(
        session, instants=[now], now=now, slo_minutes=parameters.slo_minutes,
        providers=settings.escalation_connectors, generated_by=generated_by,
    )  # fmt: skip
    recoveries = cavra_recovery_report(session, parameters, as_of=now, now=now, generated_by=generated_by)
    return cavra_executive_report(report, recoveries), report_record(report, made_at=now)


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A scheduled run of the executive report, by CAVRA's names, and the records that were written."""

    run: dict[str, Any]
    record: dict[str, Any]
    report_record: dict[str, Any]


def store_schedule_run(
    settings: Settings, schedule: RunSchedule, parameters: RecoveryParameters, *, generated_by: str, now: datetime
) -> StoredRun:
    """Makes the executive report of now in a scheduled run and stores both as evidence.

    Args:
        settings: The home.
        schedule: What the run says of its schedule.
        parameters: How long a recovery may be open.
        generated_by: Actor label of who asked.
        now: The instant of the run.

    Raises:
        UsageError: The label is not public-safe.
        PipelineError: Something can't be written.
    """
    ingest(settings, now=now)
    with warehouse_of(settings).reading() as session:
        report, of_report = make_executive_report(session, settings, parameters, generated_by=generated_by, now=now)
    run_id, when = report_run_id(report), schedule.at(now)
    of_run = schedule_run_record(report, run_id=run_id, schedule=when, made_at=now)
    save_emitted_drop(settings, of_run["session_id"], [of_report, of_run], now=now, act="record an executive report")
    names = ("escalation_count", "failed_execution_count", "open_recovery_count", "slo_breached_count")
    run = {
        "schema_version": f"{SCHEMA_PREFIX}recovery-executive-report-schedule-run.v1",
        "product": PRODUCT,
        "run_id": run_id,
        "generated_at": report["generated_at"],
        "generated_by": report["generated_by"],
        "alert_level": report["alert_level"],
        "schedule": when,
        "summary": {"executive_report_count": 1, **{name: report[name] for name in names}},
        "executive_report": report,
    }
    return StoredRun(run, of_run, of_report)
