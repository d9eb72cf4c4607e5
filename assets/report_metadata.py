"""Metadata of a saved report: numbers for Dagster's plots, tables for a person. Its assets: ``reports.py``."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Final

import dagster as dg

from cavra_pipeline.assets.links import report_page
from cavra_pipeline.assets.metadata import table
from cavra_pipeline.assets.tables import ROW_COUNT
from cavra_pipeline.documents import canonical_bytes
from cavra_pipeline.escaping import visible
from cavra_pipeline.jobs import WHAT_IF
from cavra_pipeline.lanes import LANES
from cavra_pipeline.proof.log import LogHead
from cavra_pipeline.reports.store import CLOSURE, DASHBOARD, RECOVERIES, RETRY_HEALTH, RETRY_PLAN, Report
from cavra_pipeline.settings import Settings
from cavra_pipeline.verify.bundle import attested

Shown = dg.MetadataValue

#: The console's view of each report.
VIEWS: Final = {
    RETRY_PLAN: "plan",
    RETRY_HEALTH: "health",
    RECOVERIES: "recoveries",
    CLOSURE: "closure",
    DASHBOARD: "overview",
}


def report_metadata(settings: Settings, report: Report, head: LogHead | None = None) -> dict[str, Any]:
    """Returns what Dagster shows of a report, whoever made it: a table for a person, numbers for the plots.

    Args:
        settings: Where the console is.
        report: The report.
        head: The head of the commit log when it was made, if there is one.
    """
    numbers, view = _SHOWN[report.report]
    shown = {**_common(report), **numbers(report.document), **_proof(report, head)}
    if not report.is_what_if:
        shown |= report_page(settings, VIEWS[report.report], report.document["as_of"], report.lane)
    return {**shown, "details": view(report.document)}


def _proof(report: Report, head: LogHead | None) -> dict[str, Any]:
    """The digest of the report as a bundle has it, and what it can be held against."""
    digest = hashlib.sha256(canonical_bytes(attested(report.document))).hexdigest()
    of_log = {"evidence_root": head.segments_root, "checkpoint": head.checkpoint.text} if head else {}
    return {"report_sha256": digest, **of_log}


def why(report: Report) -> str:
    """Returns why a report has its level, in one line: what its check says first."""
    document = report.document
    if report.report == RETRY_HEALTH:
        reasons = [alert["message"].removesuffix(".") for alert in document["alerts"]]
    elif report.report == CLOSURE:
        reasons = [f"{_words(item['item'])}: {item['count']:,}" for item in document["open_items"]]
    elif report.report == DASHBOARD:
        levels = {name: lane["alert_level"] for name, lane in document["lanes"].items()}
        reasons = [f"{name}: {level}" for name, level in levels.items() if level != "healthy"]
    elif report.report == RECOVERIES:
        open_, past = document["recovery_open_count"], document["recovery_slo_breached_count"]
        reasons = [f"{open_:,} open, {past:,} of them past their limit"] if open_ else []
    else:
        reasons = [f"{document[name]:,} {word}" for name, word in _ACTIONS if document[name]]
    return visible("; ".join(reasons)) or "Nothing is wrong."


#: What a plan decides, and what its check calls it.
_ACTIONS: Final = (
    ("retryable_count", "to be retried"), ("waiting_count", "wait"), ("suppressed_count", "suppressed"),
)  # fmt: skip


def _common(report: Report) -> dict[str, Any]:
    return {
        ROW_COUNT: 1,
        "report_id": report.report_id,
        "as_of": report.document["as_of"],
        "alert_level": report.document["alert_level"],
        "evidence_record_count": int(report.document["evidence_record_count"]),
        **({WHAT_IF: True} if report.is_what_if else {}),
    }


def _plan_numbers(plan: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: int(plan[name]) for name in ("decision_count", "retryable_count", "waiting_count", "suppressed_count")
    }


_HEALTH_NUMBERS: Final = (
    "alert_count", "missed_run_count", "worker_run_count", "unresolved_delivery_count", "acknowledgement_pending_count",
    "approval_pending_count", "failed_execution_count", "unresolved_failed_execution_count", "disabled_schedule_count",
    "future_record_count",
)  # fmt: skip


def _health_numbers(health: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers for the plots, and what the sensors decide by without opening the warehouse."""
    gaps = [gap["since"] for gap in health["acknowledgement_gaps"]]
    return {
        **{name: int(health[name]) for name in _HEALTH_NUMBERS},
        "latest_worker_age_minutes": health["latest_worker_age_minutes"],
        "latest_retry_plan_age_minutes": health["latest_retry_plan_age_minutes"],
        "oldest_acknowledgement_gap_at": min(gaps, default=None),
        "oldest_approval_gap_at": min((gap["since"] for gap in health["approval_gaps"]), default=None),
        "is_schedule_disabled": any(alert["category"].startswith("disabled_") for alert in health["alerts"]),
    }


def _dashboard_numbers(document: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name.endswith("_count") and isinstance(value, int)}


def _recovery_numbers(report: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers for the plots, and what the sensor decides by without opening the warehouse."""
    opened: dict[str, list[str]] = {}
    for row in report["recoveries"]:
        if row["slo_status"] != "closed":
            opened.setdefault(row["provider"], []).append(row["opened_at"])
    return {
        **{name: value for name, value in report.items() if name.endswith("_count")},
        "recovery_slo_minutes": report["recovery_slo_minutes"],
        "open_since": Shown.json(opened),
    }


def _recovery_rows(report: Mapping[str, Any]) -> Shown:
    names = ("playbook_id", "provider", "closure_state", "slo_status", "age_minutes", "closure_minutes")
    rows = [[row[name] for name in names] for row in report["recoveries"]]
    nothing = "No recovery playbook is known." if report["state"] == "no_playbook" else "No playbook opened a recovery."
    return table(names, rows, nothing)


def _closure_numbers(report: Mapping[str, Any]) -> dict[str, Any]:
    return {"closure_state": report["closure_state"], "open_item_count": report["open_item_count"]}


def _open_items(report: Mapping[str, Any]) -> Shown:
    return table(
        ("item", "count"),
        [(_words(open_item["item"]), open_item["count"]) for open_item in report["open_items"]],
        "Nothing.",
    )


def _decisions(plan: Mapping[str, Any]) -> Shown:
    subject = LANES[plan["lane"]].subject_field
    rows = [
        (
            decision[subject], decision["provider"], decision["action"], _words(decision["reason"]),
            decision["retry_count"], _to_the_minute(decision["next_retry_at"]),
        )
        for decision in plan["retry_decisions"]
    ]  # fmt: skip
    columns = (subject, "provider", "action", "reason", "failures", "next retry (UTC)")
    return table(columns, rows, "Nothing is failing.")


def _alerts(health: Mapping[str, Any]) -> Shown:
    rows = [
        (alert["severity"], _words(alert["category"]), alert["message"], action)
        for alert, action in zip(health["alerts"], health["recommended_actions"], strict=True)
    ]
    return table(("severity", "alert", "what is wrong", "what to do"), rows, "No alert.")


def _words(name: object) -> str:
    """Underscores make a column as wide as the name; words wrap."""
    return str(name).replace("_", " ")


def _to_the_minute(instant: str | None) -> str | None:
    return instant[:16].replace("T", " ") if instant else None


def _lanes(document: Mapping[str, Any]) -> Shown:
    columns = ("alert_level", "evidence_record_count", "open_outage_count", "open_acknowledgement_gap_count")
    rows = [[name, *(lane[c] for c in columns)] for name, lane in document["lanes"].items()]
    return table(("lane", *columns), rows, "No lane.")


_SHOWN: Final[dict[str, tuple[Callable[[Mapping[str, Any]], dict[str, Any]], Callable[[Mapping[str, Any]], Shown]]]] = {
    RETRY_PLAN: (_plan_numbers, _decisions),
    RETRY_HEALTH: (_health_numbers, _alerts),
    RECOVERIES: (_recovery_numbers, _recovery_rows),
    CLOSURE: (_closure_numbers, _open_items),
    DASHBOARD: (_dashboard_numbers, _lanes),
}
