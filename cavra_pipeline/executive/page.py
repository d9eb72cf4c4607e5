"""What both pages say in words: facts, rows and notes, made from a report. No markup and no judgement."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from cavra_pipeline.executive.words import (
    count,
    day_text,
    duration,
    limit_words,
    listed,
    moment_text,
    provider_name,
    read,
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
#: What one page holds; the JSON file has everything.
_MOST_ROWS: Final = 5
_MOST_ACTIONS: Final = 6


def page_of(report: Mapping[str, Any], basis: Basis | None = None) -> dict[str, Any]:
    """Returns what both pages say in words.

    Args:
        report: An executive report.
        basis: What it can be proven from; None where nobody knows.
    """
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
        "more_actions": f"The JSON file has {count(len(actions) - _MOST_ACTIONS, 'more step')}."
        if len(actions) > _MOST_ACTIONS
        else "",
        "broken": [_broken(one) for one in broken],
        "broken_caption": _caption("with most open recoveries", len(broken), len(report["broken_providers"])),
        "none_broken": "No delivery is failing and no recovery is open."
        if is_known
        else "No delivery is failing; nothing is known of recoveries.",
        "open": [_row(one) for one in shown],
        "open_caption": _caption("that are most urgent", len(shown), total),
        "none_open": "No recovery is open."
        if is_known
        else "No recovery playbook has arrived: nothing is known of recoveries.",
        "notes": _notes(report, basis),
    }


def _caption(which: str, shown: int, total: int) -> str:
    return (
        f"{shown} of {total:,}, those {which} first; the JSON file has all" if total > shown else f"Those {which} first"
    )


def _facts(report: Mapping[str, Any], *, is_known: bool) -> list[dict[str, str]]:
    """The figures of the first screen, and what each was a window before."""
    now, before, start = report["recoveries"], report["recoveries_before"], report["backlog"][0]
    days = count(report["window_days"], "day")
    failed = sum(lane["unresolved_failed_execution_count"] for lane in report["lanes"])
    has_evidence = report["state"] != "no_evidence"
    facts = [
        ("Open recoveries", f"{now['open_count']:,}", f"{start['open_count']:,} at the start"),
        (
            f"Past the {limit_words(report['slo_minutes'])} limit",
            f"{now['slo_breached_count']:,}",
            f"{start['breached_count']:,} at the start",
        ),
        (f"Opened / closed in {days}", _flow(now), _flow(before) + f" the {days} before" if before else ""),
        ("Of the closed, within the limit", _share(now), _share(before) + f" the {days} before" if before else ""),
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


def _share(recoveries: Mapping[str, Any]) -> str:
    share = recoveries["closed_within_limit_percent"]
    return "none closed" if share is None else f"{share} %"


def _broken(one: Mapping[str, Any]) -> dict[str, str]:
    since = one["failing_since"]
    return {
        "cause": one["cause"],
        "tone": one["severity"],
        "open": f"{one['open_recovery_count']:,}",
        "late": f"{one['slo_breached_count']:,}",
        "notices": f"{one['failing_notice_count']:,}",
        "since": moment_text(read(since)) if since else "-",
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


def _verification(basis: Basis | None) -> str:
    """How to verify and to prove what the report says: the one place of both pages that tells it."""
    how = (
        "Verify the evidence: cavra-pipeline verify --home. Prove the numbers: cavra-pipeline prove --report executive."
    )
    if basis is None:
        return how
    head = basis.checkpoint
    root = base64.b64encode(head.root).decode()
    return f"{how} Checkpoint {head.size:,} of the commit log {head.origin}: {root}."


def _notes(report: Mapping[str, Any], basis: Basis | None) -> list[str]:
    latest = report["latest_record_at"]
    rests = f"Based on {count(report['evidence_record_count'], 'evidence record')}"
    rests += f" of {count(basis.day_count, 'day')}" if basis else ""
    rests += f", the newest of {moment_text(read(latest))}." if latest else "."
    if report["future_record_count"]:
        rests += f" {count(report['future_record_count'], 'record')} dated later did not count."
    start = read(report["window_start"])
    until = read(report["as_of"]) - timedelta(microseconds=1)
    return [
        rests,
        f"“Past the limit” means open for more than {duration(report['slo_minutes'])}. A playbook opens a recovery for "
        "one provider; it is closed when its newest closure says resolved or mitigated.",
        _verification(basis),
        f"Covers {day_text(start)} to {day_text(max(until, start))}, UTC. Made "
        f"{moment_text(read(report['generated_at']))} by {report['generated_by']}. "
        f"Report {report['executive_report_id']}, plan {report['escalation_plan_id']}.",
    ]
