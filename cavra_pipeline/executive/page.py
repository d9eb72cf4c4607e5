"""What both pages say in words: facts, rows and notes, made from a report. No markup and no judgement."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from cavra_pipeline.executive.trends import FINE_WINDOW_DAYS
from cavra_pipeline.executive.words import (
    count,
    day_text,
    duration,
    limit_words,
    listed,
    moment_text,
    provider_name,
    read,
    share_within,
    short_moment,
)
from cavra_pipeline.proof.basis import Basis
from cavra_pipeline.recoveries.report import NO_PLAYBOOK

_STATES: Final = {
    "action_needed": "Action needed",
    "needs_attention": "Needs attention",
    "under_control": "Under control",
    "no_evidence": "No evidence",
}
_SLO: Final = {"breached": ("breached", "critical"), "at_risk": ("at risk", "warning"), "within": ("within", "healthy")}
#: What one page holds; the console and the report's JSON have everything.
_MOST_ROWS: Final = 5
_MOST_ACTIONS: Final = 6
_HOW_TO_GET_ALL: Final = "run cavra-pipeline executive-report --json"
_WHAT: Final = (
    "A recovery is the repair of one notification channel, such as Slack or Jira, to which deliveries kept failing. "
    "While it is open, people may miss what they have to act on. It is closed when somebody records it as resolved or "
    "mitigated."
)


def page_of(report: Mapping[str, Any], basis: Basis | None = None, console: str | None = None) -> dict[str, Any]:
    """Returns what both pages say in words.

    Args:
        report: An executive report.
        basis: What it can be proven from; None if unknown.
        console: Address of the report in the console; None if unknown.
    """
    at, days = read(report["as_of"]), report["window_days"]
    shown = report["open_recoveries"][:_MOST_ROWS]
    total = report["open_recovery_count"]
    broken = report["broken_providers"][:_MOST_ROWS]
    actions = report["recommended_actions"]
    is_known = report["recovery_state"] != NO_PLAYBOOK
    return {
        "state": _STATES[report["state"]],
        "as_of": moment_text(read(report["as_of"])),
        "window": count(report["window_days"], "day"),
        "limit": duration(report["slo_minutes"]),
        "facts": _facts(report, is_known=is_known),
        "is_known": is_known,
        "next_actions": actions[1:_MOST_ACTIONS],
        "more_actions": _more_actions(len(actions) - _MOST_ACTIONS, is_linked=console is not None),
        "console": console or "",
        "what": _WHAT,
        "broken": [_broken(one, at) for one in broken],
        "broken_caption": _caption("Most severe first", len(broken), len(report["broken_providers"])),
        "none_broken": "No delivery is failing and no recovery is open."
        if is_known
        else "No delivery is failing; nothing is known of recoveries.",
        "open": [_row(one) for one in shown],
        "open_caption": _caption("The most urgent first", len(shown), total),
        "none_open": "No recovery is open."
        if is_known
        else "No recovery playbook has arrived: nothing is known of recoveries.",
        "backlog_step": "6 hours" if days <= FINE_WINDOW_DAYS else "day",
        "notes": _notes(report, basis),
        "ids": _ids(report, basis),
    }


def _caption(order: str, shown: int, total: int) -> str:
    return f"{order}: {shown} of {total:,}" if total > shown else order


def _more_actions(number: int, *, is_linked: bool) -> str:
    """What the page leaves out; the address of the console follows it where somebody has named that."""
    if number <= 0:
        return ""
    return f"{count(number, 'lower-priority step')}: {'' if is_linked else _HOW_TO_GET_ALL}".rstrip()


def _facts(report: Mapping[str, Any], *, is_known: bool) -> list[dict[str, str]]:
    """The figures of the first screen, and what each was a window before."""
    now, before, start = report["recoveries"], report["recoveries_before"], report["backlog"][0]
    days = count(report["window_days"], "day")
    then = f" the {days} before"
    failed = sum(lane["unresolved_failed_execution_count"] for lane in report["lanes"])
    has_evidence = report["state"] != "no_evidence"
    facts = [
        ("Open recoveries", f"{now['open_count']:,}", f"{start['open_count']:,} at the start"),
        (
            f"Past the {limit_words(report['slo_minutes'])} limit",
            f"{now['slo_breached_count']:,}",
            f"{start['breached_count']:,} at the start",
        ),
        (f"Opened / closed in {days}", _flow(now), _flow(before) + then if before else ""),
        (
            "Of the closed, within the limit",
            share_within(now),
            share_within(before) + then if before else "",
        ),
    ]
    shown = [
        {"label": label, "value": value if is_known else "unknown", "note": note if is_known else ""}
        for label, value, note in facts
    ]
    return [
        *shown,
        {"label": "Retries still failed", "value": f"{failed:,}" if has_evidence else "unknown", "note": ""},
    ]


def _flow(recoveries: Mapping[str, Any]) -> str:
    return f"{recoveries['opened_in_window_count']:,} / {recoveries['closed_in_window_count']:,}"


def _broken(one: Mapping[str, Any], at: datetime) -> dict[str, str]:
    since = one["failing_since"]
    return {
        "cause": one["cause"],
        "tone": one["severity"],
        "open": f"{one['open_recovery_count']:,}",
        "late": f"{one['slo_breached_count']:,}",
        "missing": f"{one['failing_notice_count']:,}",
        "oldest": short_moment(read(since), at) if since else "-",
    }


def _row(one: Mapping[str, Any]) -> dict[str, str]:
    slo, tone = _SLO[one["slo_state"]]
    again = " (opened again)" if one["closure_state"] == "reopened" else ""
    return {
        "name": f"{provider_name(one['provider'])}, {one['playbook_id']}",
        "provider": provider_name(one["provider"]),
        "id": one["playbook_id"],
        "age": duration(one["age_minutes"]) + again,
        "slo": slo,
        "tone": tone,
        "notified": listed([provider_name(name) for name in one["notified_through"]]) or "no one",
        "action": one["recommended_action"],
    }


def _notes(report: Mapping[str, Any], basis: Basis | None) -> list[str]:
    latest, made = report["latest_record_at"], read(report["generated_at"])
    start, until = read(report["window_start"]), read(report["as_of"]) - timedelta(microseconds=1)
    rests = f"Based on {count(report['evidence_record_count'], 'evidence record')}"
    rests += f" of {count(basis.day_count, 'day')}" if basis else ""
    rests += f", the newest of {short_moment(read(latest), made)}." if latest else "."
    if report["future_record_count"]:
        rests += f" {count(report['future_record_count'], 'record')} dated later did not count."
    return [
        f"{rests} Covers {day_text(start)} to {day_text(max(until, start))}, UTC. "
        f"Generated {moment_text(made)} by {report['generated_by']}.",
        "Verify the evidence: cavra-pipeline verify --home. "
        "Prove the numbers: cavra-pipeline prove --report executive.",
    ]


def _ids(report: Mapping[str, Any], basis: Basis | None) -> list[str]:
    """What names the report and the evidence under it, each to be read as a whole."""
    ids = [report["executive_report_id"]]
    if basis:
        head = basis.checkpoint
        ids += [f"checkpoint {head.size:,} of {head.origin}", base64.b64encode(head.root).decode()]
    return ids
