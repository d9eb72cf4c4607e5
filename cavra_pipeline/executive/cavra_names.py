"""Recovery report, escalation plan and executive report by CAVRA's names beside ours (contract sections 11 and 13).

The rules stand where the reports are made. Only the counts of executions are CAVRA's own, over the whole history.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from cavra_pipeline.documents import instant, naive_utc, with_instants
from cavra_pipeline.lanes import LANES
from cavra_pipeline.recoveries.history import RecoveryHistory, RecoveryParameters, recovery_history
from cavra_pipeline.recoveries.report import recovery_reports
from cavra_pipeline.warehouse import Session

_PACKAGE: Final = "cavra_pipeline.reports"
_AUDITS: Final = LANES["acknowledgement_audit"]
_MOST_EXECUTIONS: Final = 20
#: Who has to do with a key risk, as CAVRA names them.
_OWNER: Final = "release-governance"
#: What CAVRA calls the state of a route that belongs to no recovery.
_REVIEW: Final = "review_required"
_STATUSES: Final = ("delivered", "failed", "skipped")
_OF_RECOVERIES: Final = (
    "recovery_playbook_count", "recovery_closure_count", "open_recovery_count", "slo_breached_count",
)  # fmt: skip
_RISKS: Final = (
    ("failed_execution_count", "critical", "Retries failed or were skipped."),
    ("slo_breached_count", "critical", "Recoveries are past their limit."),
    ("open_recovery_count", "warning", "Recoveries are open."),
)
#: Counts that the executive summaries of plan, report and run share.
_SUMMARY: Final = ("failed_execution_count", "open_recovery_count", "slo_breached_count")


def cavra_recovery_report(
    session: Session, parameters: RecoveryParameters, *, as_of: datetime, now: datetime, generated_by: str
) -> dict[str, Any]:
    """Returns the recovery report as of an instant with CAVRA's names beside ours.

    Args:
        session: An open warehouse.
        parameters: How long a recovery may be open.
        as_of: Records created later do not exist for it.
        now: When it is made; only ``generated_at`` shows it.
        generated_by: Actor label of who asked.

    Returns:
        The report. ``execution_*`` count every execution of the lane ``acknowledgement_audit``; level and state follow
        from recoveries alone.

    Raises:
        UsageError: The label is not public-safe, or the evidence of the instant has been pruned.
    """
    (report,) = recovery_reports(session, parameters, instants=[as_of], now=now, generated_by=generated_by)
    at = naive_utc(as_of)
    history = recovery_history(session, at)
    arguments: dict[str, object] = {"lane": _AUDITS.name, "as_of": at}
    executions = session.rows(_PACKAGE, "executions_by_provider", arguments)
    newest = session.rows(_PACKAGE, "newest_executions", {**arguments, "most": _MOST_EXECUTIONS})
    return {
        **report,
        "report_id": report["recovery_report_id"],
        "recovery_playbook_provider_count": report["recovery_count"],
        **_execution_counts(executions),
        "provider_summary": _by_provider(report["provider_summary"], executions, history, at),
        "recovery_rows": _rows(report, history, at),
        "latest_executions": [with_instants(execution) for execution in newest],
    }


def _execution_counts(executions: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    statuses = Counter[str]()
    for row in executions:
        statuses[row["execution_status"]] += row["execution_count"]
    total, delivered = statuses.total(), statuses["delivered"]
    return {
        "execution_count": total,
        "execution_success_count": delivered,
        "execution_failed_count": statuses["failed"] + statuses["skipped"],
        "execution_success_rate": round(delivered / total, 4) if total else None,
        "execution_status_counts": dict(sorted((status, count) for status, count in statuses.items() if count)),
    }


def _rows(report: Mapping[str, Any], history: RecoveryHistory, at: datetime) -> list[dict[str, Any]]:
    newest = {(closure.playbook_id, closure.provider): closure.closure_id for closure in history.said(at)}
    return [
        {
            **row,
            "generated_at": row["opened_at"],
            "closure_id": newest.get((row["playbook_id"], row["provider"])) or "",
            "recovery_slo_minutes": report["recovery_slo_minutes"],
            "slo_breached": row["slo_status"] == "breached",
        }
        for row in report["recoveries"]
    ]


def _by_provider(
    counted: Iterable[Mapping[str, Any]],
    executions: Sequence[Mapping[str, Any]],
    history: RecoveryHistory,
    at: datetime,
) -> list[dict[str, Any]]:
    """Everything that is counted by provider; an instant is empty where there is none."""
    closed = {closure.provider: closure.at for closure in history.said(at)}
    provider_counts = {row["provider"]: row for row in counted}
    summaries = []
    for provider in sorted(provider_counts.keys() | {row["provider"] for row in executions}):
        provider_executions = [row for row in executions if row["provider"] == provider]
        statuses = {row["execution_status"]: row["execution_count"] for row in provider_executions}
        executed = max((row["latest_execution_at"] for row in provider_executions), default=None)
        summaries.append(
            {
                "provider": provider,
                "execution_count": sum(statuses.values()),
                **{f"execution_{status}_count": statuses.get(status, 0) for status in _STATUSES},
                **{name: provider_counts.get(provider, {}).get(name, 0) for name in _OF_RECOVERIES},
                "latest_execution_at": instant(executed) or "",
                "latest_closure_at": instant(closed.get(provider)) or "",
            }
        )
    return summaries


def cavra_plan(plan: Mapping[str, Any], recoveries: Mapping[str, Any]) -> dict[str, Any]:
    """Returns an escalation plan with CAVRA's names beside ours.

    Args:
        plan: What ``escalation_plan`` made.
        recoveries: What ``cavra_recovery_report`` made of the same instant and limit.
    """
    routes = [_route(route, plan["recovery_slo_minutes"]) for route in plan["escalation_routes"]]
    total, closed = recoveries["recovery_count"], recoveries["recovery_closed_count"]
    return {
        **plan,
        "provider_count": len({route["provider"] for route in routes}),
        "escalation_routes": routes,
        "executive_summary": {
            "status": plan["alert_level"],
            "tracked_provider_count": len(recoveries["provider_summary"]),
            "execution_count": recoveries["execution_count"],
            **{name: plan[name] for name in _SUMMARY},
            "closure_rate": round(closed / total, 4) if total else None,
        },
    }


def _route(route: Mapping[str, Any], slo_minutes: int) -> dict[str, Any]:
    is_late = route["slo_status"] == "breached"
    named = {**route, "recovery_slo_minutes": slo_minutes, "slo_breached": is_late}
    if route["slo_status"] is None:
        return {**named, "closure_state": _REVIEW, "slo_status": _REVIEW, "reason": "retries failed or were skipped"}
    return {**named, "reason": "the recovery is past its limit" if is_late else "the recovery is open"}


def cavra_executive_report(report: Mapping[str, Any], recoveries: Mapping[str, Any]) -> dict[str, Any]:
    """Returns an executive report with CAVRA's names beside ours; our own key risks are its ``risks``.

    Args:
        report: What ``executive_reports`` made.
        recoveries: What ``cavra_recovery_report`` made of the same instant and limit.
    """
    return {
        **report,
        "recovery_slo_minutes": report["slo_minutes"],
        "executive_summary": {
            "status": report["alert_level"],
            "business_impact": report["headline"],
            "execution_count": recoveries["execution_count"],
            **{name: report[name] for name in _SUMMARY},
            "escalation_count": report["escalation_count"],
        },
        "provider_summary": recoveries["provider_summary"],
        "closure_trends": recoveries["closure_trends"],
        "risks": report["key_risks"],
        "key_risks": [
            {"severity": severity, "risk": risk, "count": report[name], "owner": _OWNER}
            for name, severity, risk in _RISKS
            if report[name]
        ],
        "recommended_actions": [
            " ".join([action["action"], *action["then"]]) for action in report["recommended_actions"]
        ],
    }
