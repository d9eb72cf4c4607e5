"""Publishing: the escalation plan and the executive report go out through connectors and leave their evidence.

That a plan or report was made is evidence always; a delivery is sent, and recorded, only by a live run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from cavra_pipeline.escaping import visible
from cavra_pipeline.evidence.ingest import warehouse_of
from cavra_pipeline.evidence.own import commit_own_drop, record, write_own_drop
from cavra_pipeline.lanes import LANES, Lane
from cavra_pipeline.retry.first_delivery import deliver_first
from cavra_pipeline.retry.worker import Sender
from cavra_pipeline.settings import Settings

_ESCALATIONS: Final = LANES["recovery_escalation"]
_REPORTS: Final = LANES["executive_report"]
_PLAN_FIELDS: Final = (
    "plan_id", "recovery_report_id", "alert_level", "escalation_count", "slo_breached_count", "failed_execution_count",
    "selected_providers",
)  # fmt: skip
_REPORT_FIELDS: Final = (
    "executive_report_id", "recovery_report_id", "escalation_plan_id", "alert_level", "escalation_count",
)  # fmt: skip


def publish_escalation_plan(
    settings: Settings, plan: Mapping[str, Any], sender: Sender, *, is_live: bool, clock: Callable[[], datetime]
) -> dict[str, Any]:
    """Tells people of the open recoveries through the plan's selected connectors.

    Returns:
        What was, or would be, sent, and how it went.

    Raises:
        UsageError: Live is not armed on this host, or a selected connector is not on.
    """
    made = record(
        "recovery-escalation-plan",
        session_id=f"escalation-plan-{plan['plan_id']}",
        created_at=clock(),
        signer=plan["generated_by"],
        **{name: plan[name] for name in _PLAN_FIELDS},
    )
    facts = {name: plan[name] for name in ("escalation_count", "slo_breached_count", "failed_execution_count")}
    return _publish(
        settings,
        _ESCALATIONS,
        sender,
        records=[made],
        subject={"plan_id": plan["plan_id"]},
        title=f"CAVRA: {plan['escalation_count']} recoveries are open, {plan['slo_breached_count']} past their limit",
        summary="Open recoveries wait for somebody. The escalation plan says which, since when and what to do.",
        document=plan,
        facts=facts,
        providers=plan["selected_providers"],
        is_live=is_live,
        clock=clock,
    )


def publish_report(
    settings: Settings,
    report: Mapping[str, Any],
    sender: Sender,
    *,
    providers: Sequence[str],
    run_id: str,
    is_live: bool,
    clock: Callable[[], datetime],
    interval_minutes: int = 1440,
) -> dict[str, Any]:
    """Sends executives the headline of a report; a failure is what the executive lane retries.

    Args:
        settings: The home; a live delivery needs ``live_is_armed``.
        report: What ``executive_report`` made.
        sender: The host's connectors.
        providers: Connectors to go through.
        run_id: A new id for this run; the subject of the delivery.
        is_live: Whether to send.
        clock: Tells the time.
        interval_minutes: Cadence of the schedule that makes the report.

    Returns:
        What was, or would be, sent, and how it went.

    Raises:
        UsageError: Live is not armed on this host, or a connector is not on.
    """
    made_at, signer = clock(), report["generated_by"]
    made = record(
        "recovery-executive-report",
        session_id=f"executive-report-{report['executive_report_id']}",
        created_at=made_at,
        signer=signer,
        **{name: report[name] for name in _REPORT_FIELDS},
    )
    run = record(
        "recovery-executive-report-schedule-run",
        session_id=f"schedule-run-{run_id}",
        created_at=made_at,
        signer=signer,
        run_id=run_id,
        alert_level=report["alert_level"],
        escalation_count=report["escalation_count"],
        recovery_executive_report_schedule_run={"schedule": {"enabled": True, "interval_minutes": interval_minutes}},
    )
    facts = {name: report[name] for name in ("escalation_count", "slo_breached_count", "failed_execution_count")}
    return _publish(
        settings,
        _REPORTS,
        sender,
        records=[made, run],
        subject={"run_id": run_id, "executive_report_id": report["executive_report_id"]},
        title=f"CAVRA recovery report: {report['state'].replace('_', ' ')}",
        summary=visible(report["headline"]),
        document=report,
        facts=facts,
        providers=providers,
        is_live=is_live,
        clock=clock,
    )


def _publish(
    settings: Settings,
    lane: Lane,
    sender: Sender,
    *,
    records: Sequence[dict[str, Any]],
    subject: dict[str, Any],
    title: str,
    summary: str,
    document: Mapping[str, Any],
    facts: Mapping[str, Any],
    providers: Sequence[str],
    is_live: bool,
    clock: Callable[[], datetime],
) -> dict[str, Any]:
    if is_live:
        settings.require_live()
    now = clock()
    drop = write_own_drop(settings, str(records[0]["session_id"]), records, now=now)
    with warehouse_of(settings).writing("record what was made") as session:
        commit_own_drop(session, drop, now=now)
    if not providers:
        return {"lane": lane.name, **subject, "dry_run": not is_live, "title": title, "providers": [], "outcomes": []}
    return deliver_first(
        settings,
        lane,
        sender,
        subject=subject,
        title=title,
        summary=summary,
        alert_level=str(document["alert_level"]),
        facts=facts,
        providers=providers,
        is_live=is_live,
        generated_by=str(document["generated_by"]),
        clock=clock,
    )
