"""Publishing: the escalation plan and the executive report as announcements, with the evidence that each was made.

That a plan or report was made is evidence always; a delivery is sent, and recorded, only by a live run. ``stored.py``
saves the same evidence without an announcement.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from cavra_pipeline.boundary.fields import ROUTES
from cavra_pipeline.boundary.kinds import payload_key
from cavra_pipeline.documents import digest_of
from cavra_pipeline.escaping import visible
from cavra_pipeline.evidence.emitted import record
from cavra_pipeline.executive.words import are, risk_lines, route_lines
from cavra_pipeline.lanes import LANES
from cavra_pipeline.retry.first_delivery import Announcement

_ESCALATIONS: Final = LANES["recovery_escalation"]
_REPORTS: Final = LANES["executive_report"]
_PLAN_FIELDS: Final = (
    "plan_id", "recovery_report_id", "alert_level", "escalation_count", "slo_breached_count", "failed_execution_count",
    "selected_providers",
)  # fmt: skip
#: Where the routes stand in CAVRA's record, and what the boundary lets through of each.
_ROUTES: Final = payload_key("recovery-escalation-plan")
_ROUTE_FIELDS: Final = tuple(member.column for member in ROUTES.members)
_REPORT_FIELDS: Final = (
    "executive_report_id", "recovery_report_id", "escalation_plan_id", "alert_level", "escalation_count",
)  # fmt: skip
_RUN_KIND: Final = "recovery-executive-report-schedule-run"
_FACTS: Final = ("escalation_count", "slo_breached_count", "failed_execution_count")
#: How many routes and key risks a message lists, unless somebody asks for another number.
MAX_ROUTES: Final = 20
MAX_RISKS: Final = 10
#: Cadence of the schedule that makes the report, in minutes.
INTERVAL_MINUTES: Final = 1440
_SCHEDULE: Final = {"enabled": True, "interval_minutes": INTERVAL_MINUTES}


def plan_record(plan: Mapping[str, Any], *, made_at: datetime) -> dict[str, Any]:
    """Returns the evidence record of a plan that ``escalation_plan`` made, with the counts that CAVRA gives it."""
    return record(
        "recovery-escalation-plan",
        session_id=f"escalation-plan-{plan['plan_id']}",
        created_at=made_at,
        signer=plan["generated_by"],
        decision_count=plan["escalation_count"],
        blocked_count=plan["critical_escalation_count"],
        approval_required_count=plan["open_recovery_count"],
        **{name: plan[name] for name in _PLAN_FIELDS},
        **{_ROUTES: {"escalation_routes": [_route(route) for route in plan["escalation_routes"]]}},
    )


def report_record(report: Mapping[str, Any], *, made_at: datetime) -> dict[str, Any]:
    """Returns the evidence record of a report that ``executive_reports`` made, with the counts that CAVRA gives it."""
    return record(
        "recovery-executive-report",
        session_id=f"executive-report-{report['executive_report_id']}",
        created_at=made_at,
        signer=report["generated_by"],
        decision_count=report["escalation_count"],
        **_waiting(report),
        **{name: report[name] for name in _REPORT_FIELDS},
    )


def schedule_run_record(
    report: Mapping[str, Any], *, run_id: str, schedule: Mapping[str, Any], made_at: datetime
) -> dict[str, Any]:
    """Returns the evidence record of a scheduled run that made a report, with the counts that CAVRA gives it.

    Args:
        report: What ``executive_reports`` made.
        run_id: The subject of the report's deliveries.
        schedule: ``enabled``, ``interval_minutes``, and what else the kind has of a schedule.
        made_at: When it was made.
    """
    return record(
        _RUN_KIND,
        session_id=f"schedule-run-{run_id}",
        created_at=made_at,
        signer=report["generated_by"],
        decision_count=1,
        **_waiting(report),
        run_id=run_id,
        alert_level=report["alert_level"],
        escalation_count=report["escalation_count"],
        **{payload_key(_RUN_KIND): {"schedule": dict(schedule)}},
    )


def _waiting(report: Mapping[str, Any]) -> dict[str, int]:
    """What is past its limit or failed, and what waits for somebody, as CAVRA's envelope counts it."""
    return {
        "blocked_count": report["slo_breached_count"] + report["failed_execution_count"],
        "approval_required_count": report["open_recovery_count"],
    }


def escalation(
    plan: Mapping[str, Any], *, requested_at: datetime, made_at: datetime, as_of: datetime | None = None
) -> Announcement:
    """Makes the announcement of the open recoveries.

    Args:
        plan: What ``escalation_plan`` made.
        requested_at: When somebody asked for it.
        made_at: When it was made; its evidence is dated so.
        as_of: The instant that whoever asked named; None for now.
    """
    plan_evidence = plan_record(plan, made_at=made_at)
    return replace(plan_message(plan), records=[plan_evidence], requested_at=requested_at, as_of=as_of)


def plan_message(plan: Mapping[str, Any], *, max_routes: int = MAX_ROUTES) -> Announcement:
    """Makes the announcement of a plan that is evidence already.

    Args:
        plan: What ``escalation_plan`` made, or what is stored of it.
        max_routes: Routes that the message lists at most.
    """
    wait = "Recoveries or retries need somebody. The escalation plan says which, since when and what to do."
    return Announcement(
        lane=_ESCALATIONS,
        subject={"plan_id": plan["plan_id"]},
        title=f"CAVRA: {are(plan['open_recovery_count'], 'recovery', 'recoveries')} open, "
        f"{plan['slo_breached_count']} past their limit",
        summary="\n".join([wait, *route_lines(plan["escalation_routes"], max_routes)]),
        alert_level=plan["alert_level"],
        facts={name: plan[name] for name in _FACTS},
        generated_by=plan["generated_by"],
    )


def _route(route: Mapping[str, Any]) -> dict[str, Any]:
    """A route as evidence has it; what is unknown is left out."""
    return {name: route[name] for name in _ROUTE_FIELDS if route[name] is not None}


def report_run_id(report: Mapping[str, Any]) -> str:
    """Returns the subject of a report that a person sends: it follows from the report."""
    return f"report-run-{digest_of(report['executive_report_id'])[:24]}"


def scheduled_run_id(scheduled_at: datetime) -> str:
    """Returns the subject of a report that a schedule sends: it follows from the scheduled instant."""
    return f"scheduled-report-{scheduled_at:%Y%m%dT%H%MZ}"


def report_announcement(
    report: Mapping[str, Any],
    *,
    run_id: str,
    made_at: datetime,
    requested_at: datetime | None = None,
    as_of: datetime | None = None,
) -> Announcement:
    """Makes the announcement of a report's headline to executives.

    Args:
        report: What ``executive_report`` made.
        run_id: The subject of the delivery, made from content; the same one is sent once to a connector.
        made_at: When it was made; its evidence is dated so.
        requested_at: When somebody asked for it; None for a schedule.
        as_of: The instant that whoever asked named; None for now.
    """
    report_evidence = report_record(report, made_at=made_at)
    run = schedule_run_record(report, run_id=run_id, schedule=_SCHEDULE, made_at=made_at)
    message = report_message(report, run_id=run_id)
    return replace(message, records=[report_evidence, run], requested_at=requested_at, as_of=as_of)


def report_message(report: Mapping[str, Any], *, run_id: str, max_risks: int = MAX_RISKS) -> Announcement:
    """Makes the announcement of a report whose run is evidence already.

    Args:
        report: What ``executive_report`` made.
        run_id: The subject of the delivery.
        max_risks: Key risks that the message lists at most.
    """
    return Announcement(
        lane=_REPORTS,
        subject={"run_id": run_id, "executive_report_id": report["executive_report_id"]},
        title=f"CAVRA executive report: {report['state'].replace('_', ' ')}",
        summary="\n".join([visible(report["headline"]), *risk_lines(report["key_risks"], max_risks)]),
        alert_level=report["alert_level"],
        facts={name: report[name] for name in _FACTS},
        generated_by=report["generated_by"],
    )
