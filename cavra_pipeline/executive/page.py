"""What both pages say in words: facts, rows and notes, made from a report. No markup and no judgement."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from cavra_pipeline.executive.pictures import standing
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
from cavra_pipeline.recoveries.report import NO_PLAYBOOK

_STATES: Final = {
    "action_needed": "Action needed",
    "needs_attention": "Needs attention",
    "under_control": "Under control",
    "no_evidence": "No evidence",
}
_SLO: Final = {"breached": ("past it", "critical"), "at_risk": ("close", "warning"), "within": ("within", "healthy")}
_MOST_ROWS: Final = 10
_MOST_ACTIONS: Final = 5
_MOST_DAYS: Final = 14


def page_of(report: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what both pages say in words."""
    as_of = read(report["as_of"])
    shown = report["open_recoveries"][:_MOST_ROWS]
    total = report["open_recovery_count"]
    trend = report["closure_trend"][-_MOST_DAYS:]
    window = count(report["window_days"], "day")
    actions = report["recommended_actions"]
    has_evidence = report["state"] != "no_evidence"
    is_known = report["recovery_state"] != NO_PLAYBOOK
    return {
        "state": _STATES[report["state"]],
        "as_of": moment_text(as_of),
        "window": window,
        "limit": duration(report["slo_minutes"]),
        "facts": _facts(report, is_known=is_known),
        "is_known": is_known,
        "next_actions": actions[1:_MOST_ACTIONS],
        "more_actions": f"{count(len(actions) - _MOST_ACTIONS, 'more step')} under Key risks."
        if len(actions) > _MOST_ACTIONS
        else "",
        "open": [_row(one) for one in shown],
        "open_caption": f"The {len(shown)} most pressing of {total:,}; the JSON file holds all"
        if total > len(shown)
        else "Most pressing first",
        "no_delivery": "No delivery in this time." if has_evidence else "Nothing is known of deliveries.",
        "lanes": [_lane(lane) for lane in report["lanes"]],
        "none_open": "No recovery is open."
        if is_known
        else "No recovery playbook has arrived: nothing is known of recoveries.",
        "by_provider": [_group(provider_name(one["provider"]), one) for one in report["recoveries_by_provider"]],
        "by_cause": [_group(one["cause"].replace("_", " "), one) for one in report["recoveries_by_cause"]],
        "retries": [
            {"provider": provider_name(one["provider"]), "action": one["recommended_action"]}
            for one in report["failed_retries"]
        ],
        "trend": [
            {
                "day": day_text(read(day["day"])),
                "opened": day["opened_count"],
                "closed": day["closed_count"],
                "open": day["open_count"],
            }
            for day in reversed(trend)
        ],
        "trend_caption": f"Recoveries by UTC day, newest first; the newest day up to {as_of:%H:%M}"
        + (f"; the last {len(trend)} of {window}" if len(trend) < len(report["closure_trend"]) else ""),
        "notes": _notes(report),
    }


def _facts(report: Mapping[str, Any], *, is_known: bool) -> list[dict[str, str]]:
    """The figures of the first screen."""
    return [
        {"label": "Open recoveries", "value": f"{report['open_recovery_count']:,}" if is_known else "unknown"},
        {
            "label": f"Past the {limit_words(report['slo_minutes'])} limit",
            "value": f"{report['slo_breached_count']:,}" if is_known else "unknown",
        },
        {
            "label": f"Closed in {count(report['window_days'], 'day')}",
            "value": _closed(report["recoveries"]) if is_known else "unknown",
        },
        {
            "label": "Retries still failed",
            "value": f"{sum(lane['unresolved_failed_execution_count'] for lane in report['lanes']):,}"
            if report["state"] != "no_evidence"
            else "unknown",
        },
    ]


def _row(one: Mapping[str, Any]) -> dict[str, str]:
    slo, tone = _SLO[one["slo_state"]]
    again = " (opened again)" if one["closure_state"] == "reopened" else ""
    return {
        "name": f"{provider_name(one['provider'])}, {one['playbook_id']}",
        "age": duration(one["age_minutes"]) + again,
        "slo": slo,
        "tone": tone,
        "notified": listed([provider_name(name) for name in one["notified_through"]]) or "no one",
        "action": one["recommended_action"],
    }


def _closed(recoveries: Mapping[str, Any]) -> str:
    share = recoveries["closed_within_limit_percent"]
    return f"{recoveries['closed_in_window_count']:,}" + ("" if share is None else f" ({share} % in time)")


def _group(name: str, one: Mapping[str, Any]) -> dict[str, str]:
    share = one["closed_within_limit_percent"]
    return {
        "name": name,
        "open": f"{one['open_count']:,}",
        "late": f"{one['slo_breached_count']:,}",
        "opened": f"{one['opened_in_window_count']:,}",
        "closed": f"{one['closed_in_window_count']:,}",
        "in_time": "-" if share is None else f"{share} %",
    }


def _lane(lane: Mapping[str, Any]) -> dict[str, str]:
    names = {
        "delivered": "delivered_execution_count",
        "failed": "failed_execution_count",
        "skipped": "skipped_execution_count",
        "still_failed": "unresolved_failed_execution_count",
    }
    is_known = lane["state"] != "no_evidence"
    counts = {name: f"{lane[field]:,}" if is_known else "unknown" for name, field in names.items()}
    return {"title": lane["title"], "worker": standing(lane), **counts}


def _notes(report: Mapping[str, Any]) -> list[str]:
    latest = report["latest_record_at"]
    rests = f"Based on {count(report['evidence_record_count'], 'evidence record')}"
    rests += f", the newest of {moment_text(read(latest))}." if latest else "."
    if report["future_record_count"]:
        rests += f" {count(report['future_record_count'], 'record')} dated later did not count."
    start = read(report["window_start"])
    until = read(report["as_of"]) - timedelta(microseconds=1)
    return [
        rests,
        f"“Past the limit” means open for more than {duration(report['slo_minutes'])}. A playbook opens a recovery for "
        "one provider; it is closed when its newest closure says resolved or mitigated.",
        f"Covers {day_text(start)} to {day_text(max(until, start))}, UTC. Made "
        f"{moment_text(read(report['generated_at']))} by {report['generated_by']}. "
        f"Report {report['executive_report_id']}, plan {report['escalation_plan_id']}.",
    ]
