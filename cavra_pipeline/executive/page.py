"""What both pages say in words: facts, rows and notes, made from a report. No markup and no judgement."""

from __future__ import annotations

import base64
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Final

from cavra_pipeline.documents import shifted
from cavra_pipeline.durations import short_duration
from cavra_pipeline.executive.providers import declined_words, steps_of
from cavra_pipeline.executive.trends import FINE_WINDOW_DAYS
from cavra_pipeline.executive.words import (
    activity_words,
    are,
    at_start,
    count,
    day_text,
    decide_words,
    downtime_words,
    leak_words,
    limit_words,
    listed,
    missed_words,
    missing_words,
    moment_text,
    read,
    share_of_due,
    short_moment,
)
from cavra_pipeline.proof.basis import Basis
from cavra_pipeline.provider_names import provider_title
from cavra_pipeline.recoveries.report import NO_PLAYBOOK

_STATES: Final = {
    "action_needed": "Action needed",
    "needs_attention": "Needs attention",
    "under_control": "Under control",
    "no_evidence": "No evidence",
}
_SLO: Final = {
    "breached": ("past", "critical"),
    "at_risk": ("at risk", "warning"),
    "within": ("within", "healthy"),
}
#: What one page holds; the console and the report's JSON have everything.
_MOST_ROWS: Final = 5
#: Steps without a number that it names; one more takes no more room than to say that there is one.
_MOST_FURTHER: Final = 3
#: Counts of a provider, with the headings of their columns.
BROKEN_COUNTS: Final = {
    "open": "Open recoveries",
    "late": "Past the limit",
    "missing": "Not arrived",
    "cleared": "Can be retried",
    "uncleared": "To release",
    "declined": "Put off",
    "exhausted": "No retries left",
}
_BROKEN_CAPTION: Final = "Most severe first. To release: someone must acknowledge or approve the retry"
_DECLINED_CAPTION: Final = "; put off: a person has decided against it for now"
#: What the platform team runs to check the page.
_COMMANDS: Final = (
    ("verify that the evidence is unchanged", "cavra-pipeline verify --home"),
    ("prove these numbers from it", "cavra-pipeline prove --report executive"),
)
_WHAT: Final = (
    "CAVRA rehearses rollbacks and notifies people. "
    "A recovery is the repair of a channel, such as Slack, where notifications kept failing."
)
#: Statuses behind a cause, as the platform team reads them; the console and the JSON have them.
_CODES: Final = re.compile(r" \((?:last (?:error|answer) )?[0-9, ]+\)(?=\.?$|; )")


@dataclass(frozen=True, slots=True)
class PageContext:
    """What a page says beside its report, which is made from the evidence alone; all of it may be unknown.

    Attributes:
        basis: What the report can be proven from.
        console: Address of the report in the console, for what the pages leave out.
        leaks: Secrets that were found and that no one has handled yet, counted by landing day.
    """

    basis: Basis | None = None
    console: str | None = None
    leaks: Mapping[date, int] = field(default_factory=dict)


def page_of(report: Mapping[str, Any], context: PageContext) -> dict[str, Any]:
    """Returns what both pages say in words of an executive report."""
    basis, console, leaks = context.basis, context.console, context.leaks
    at, days = read(report["as_of"]), report["window_days"]
    shown = report["open_recoveries"][:_MOST_ROWS]
    total = report["open_recovery_count"]
    broken = report["broken_providers"][:_MOST_ROWS]
    is_declined = any(provider["declined_counts"] for provider in report["broken_providers"])
    broken_order = _BROKEN_CAPTION + (_DECLINED_CAPTION if is_declined else "")
    actions = [action for action in report["recommended_actions"] if action["number"]]
    more = [action for action in report["recommended_actions"] if not action["number"]]
    is_known = report["recovery_state"] != NO_PLAYBOOK
    leak_step = leak_words(leaks)
    # Leaked secrets are no part of the report: their step is the second on the page, and the later ones follow it.
    numbers = {n: n + 1 if leak_step and n > 1 else n for n in range(1, len(actions) + 1)}
    steps = [{**_action(action), "number": numbers[action["number"]]} for action in actions]
    if leak_step and not steps:
        steps, leak_step = [{"action": leak_step, "role": "Platform team", "then": [], "because": ""}], ""
    return {
        **_verdict(report, has_leaks=bool(leaks)),
        "leaks": leak_step,
        "leaks_number": 2,
        "leaks_address": f"{console.partition('#')[0]}#/intake" if console and leaks else "",
        "as_of": moment_text(read(report["as_of"])),
        "window": count(report["window_days"], "day"),
        "limit": short_duration(report["slo_minutes"]),
        "facts": _facts(report, is_known=is_known),
        "is_known": is_known,
        "missed": " ".join(filter(None, [missed_words(report), missing_words(report)])),
        "decide": decide_words(report, numbers),
        "first_when": "Do first" if actions and actions[0]["urgency"] == "soon" else "Do now",
        "what_to_do": steps[0] if steps else {"action": report["what_to_do"], "role": "", "then": [], "because": ""},
        "next_actions": steps[1:],
        "more_actions": _more_actions(
            more, 1 + max(numbers.values(), default=0), "" if console else ", under Executive report"
        ),
        "console": (console or "") if len(more) > _MOST_FURTHER else "",
        "what": _WHAT,
        "broken": [_broken(provider, at) for provider in broken],
        "broken_counts": {name: BROKEN_COUNTS[name] for name in BROKEN_COUNTS if name != "declined" or is_declined},
        "broken_total": _total(report["broken_providers"]),
        "broken_caption": _caption(broken_order, len(broken), len(report["broken_providers"])),
        "none_broken": _none_broken(report, is_known=is_known),
        "open": [_row(recovery, _step_numbers(recovery, report, numbers)) for recovery in shown],
        "open_caption": _caption("Past the limit first, then the newest; the steps are those above", len(shown), total),
        "none_open": "No recovery is open."
        if is_known
        else "No recovery playbook has arrived: nothing is known of recoveries.",
        "activity": " ".join(activity_words(report)) if report["evidence_record_count"] else "",
        "downtime": " ".join(downtime_words(report)),
        "is_seldom": any(lane["usual_interval_minutes"] for lane in report["lanes"]),
        "backlog_step": "6 hours" if days <= FINE_WINDOW_DAYS else "day",
        "notes": _notes(report, basis),
        "commands": _COMMANDS,
        "ids": _ids(report, basis),
    }


def _verdict(report: Mapping[str, Any], *, has_leaks: bool) -> dict[str, str]:
    """The state in words and its level; with a leaked secret that no one has handled it is never calm."""
    if has_leaks and report["state"] == "under_control":
        return {"state": _STATES["needs_attention"], "tone": "warning"}
    return {"state": _STATES[report["state"]], "tone": report["alert_level"]}


def _none_broken(report: Mapping[str, Any], *, is_known: bool) -> str:
    if not report["evidence_record_count"]:
        return "Nothing is known: no evidence has arrived."
    recoveries = " and no recovery is open" if is_known else "; nothing is known of recoveries"
    return f"No notification is failing{recoveries}."


def _caption(order: str, shown: int, total: int) -> str:
    return f"{order}: {shown} of {total:,}" if total > shown else order


def _action(action: Mapping[str, Any]) -> dict[str, Any]:
    """A step with who takes it as a label."""
    role = listed(action["role"].split(", "))
    return {**action, "role": f"{role[0].upper()}{role[1:]}", "because": _CODES.sub("", action["because"])}


def _more_actions(more: Sequence[Mapping[str, Any]], first: int, where: str) -> str:
    """The first steps without a number of the report's, numbered on from ``first``, and how many more there are."""
    if not more:
        return ""
    shown = more if len(more) <= _MOST_FURTHER else more[: _MOST_FURTHER - 1]
    named = [
        f"{n}. {action['action'].removesuffix('.')} ({listed(action['role'].split(', '))})."
        for n, action in enumerate(shown, first)
    ]
    left = len(more) - len(named)
    return " ".join(["Also:", *named, *([f"{are(left, 'further step')} in the console{where}."] if left else [])])


def _facts(report: Mapping[str, Any], *, is_known: bool) -> list[dict[str, str]]:
    """The figures of the first screen, and what each was a window before."""
    now, before, start = report["recoveries"], report["recoveries_before"], at_start(report)
    days = count(report["window_days"], "day")
    then, on = f" in the {days} before", f" on {day_text(read(report['window_start']))}"
    missing = sum(provider["failing_notice_count"] for provider in report["broken_providers"])
    by_hand = sum(provider["uncleared_count"] + provider["suppressed_count"] for provider in report["broken_providers"])
    declined = declined_words(_declined(report["broken_providers"]))
    has_evidence = report["state"] != "no_evidence"
    facts = [
        ("Open recoveries", f"{now['open_count']:,}", f"{start['open_count']:,}{on}" if start else ""),
        (
            f"Past the {limit_words(report['slo_minutes'])} limit",
            f"{now['slo_breached_count']:,}",
            f"{start['breached_count']:,}{on}" if start else "",
        ),
        (f"Opened / closed in {days}", _flow(now), _flow(before) + then if before else ""),
        (
            "Closed within the limit, of all due",
            share_of_due(now),
            share_of_due(before) + then if before else "",
        ),
    ]
    shown = [
        {"label": label, "value": value if is_known else "unknown", "note": note if is_known else ""}
        for label, value, note in facts
    ]
    needed = f"{by_hand:,} {'needs' if by_hand == 1 else 'need'} a person" if by_hand else ""
    note = ", ".join(filter(None, [needed, declined]))
    missed = {"value": f"{missing:,}", "note": note} if has_evidence else {"value": "unknown", "note": ""}
    return [*shown, {"label": "Notifications not arrived", **missed}]


def _declined(broken: Sequence[Mapping[str, Any]]) -> Counter[str]:
    """How many notifications a person has decided against, over all providers, by the state of the decision."""
    return sum((Counter(provider["declined_counts"]) for provider in broken), Counter[str]())


def _flow(recoveries: Mapping[str, Any]) -> str:
    return f"{recoveries['opened_in_window_count']:,} / {recoveries['closed_in_window_count']:,}"


def _broken(provider: Mapping[str, Any], at: datetime) -> dict[str, str]:
    since = provider["failing_since"]
    return {
        "cause": _CODES.sub("", provider["cause"]),
        "tone": provider["severity"],
        "open": f"{provider['open_recovery_count']:,}",
        "late": f"{provider['slo_breached_count']:,}",
        **_arrivals(provider),
        "oldest": short_moment(read(since), at) if since else "-",
    }


def _arrivals(provider: Mapping[str, Any]) -> dict[str, str]:
    """The notifications that have not arrived, and what becomes of them; the parts add up."""
    counts = {
        "missing": provider["failing_notice_count"],
        "cleared": provider["cleared_count"],
        "uncleared": provider["uncleared_count"],
        "declined": sum(provider["declined_counts"].values()),
        "exhausted": provider["suppressed_count"],
    }
    return {name: f"{number:,}" for name, number in counts.items()}


def _total(broken: Sequence[Mapping[str, Any]]) -> dict[str, str] | None:
    """The sums over all providers, shown below more than one."""
    if len(broken) < 2:
        return None
    sums: dict[str, Any] = {
        name: sum(provider[name] for provider in broken) for name in broken[0] if name.endswith("_count")
    }
    sums["declined_counts"] = _declined(broken)
    return {
        "cause": f"All {len(broken):,} providers",
        "open": f"{sums['open_recovery_count']:,}",
        "late": f"{sums['slo_breached_count']:,}",
        **_arrivals(sums),
        "oldest": "",
    }


def _step_numbers(recovery: Mapping[str, Any], report: Mapping[str, Any], on_page: Mapping[int, int]) -> str:
    """The steps about a recovery by their numbers on the page: of its provider and of its need; in words if none is."""
    about = {
        step["action"]
        for provider in report["broken_providers"]
        if provider["provider"] == recovery["provider"]
        for step in steps_of(provider)
    }
    about |= {risk["action"] for risk in report["key_risks"] if risk["category"] == recovery["need"]}
    numbers = [
        str(on_page[action["number"]])
        for action in report["recommended_actions"]
        if action["number"] and action["action"] in about
    ]
    return listed(numbers) or recovery["recommended_action"]


def _row(recovery: Mapping[str, Any], steps: str) -> dict[str, str]:
    slo, tone = _SLO[recovery["slo_state"]]
    again = " (opened again)" if recovery["closure_state"] == "reopened" else ""
    return {
        "name": f"{provider_title(recovery['provider'])}, {recovery['playbook_id']}",
        "provider": provider_title(recovery["provider"]),
        "id": recovery["playbook_id"],
        "age": short_duration(recovery["age_minutes"]) + again,
        "slo": slo,
        "tone": tone,
        "notified": listed([provider_title(name) for name in recovery["notified_through"]]) or "no one",
        "steps": steps,
    }


def _notes(report: Mapping[str, Any], basis: Basis | None) -> list[str]:
    latest, generated_at = report["latest_record_at"], read(report["generated_at"])
    start, until = read(report["window_start"]), shifted(read(report["as_of"]), -timedelta(microseconds=1))
    rests = f"Based on {count(report['evidence_record_count'], 'evidence record')}"
    rests += f" of {count(basis.day_count, 'day')}" if basis else ""
    rests += " about notifications and recoveries"
    rests += f", the newest of {short_moment(read(latest), generated_at)}." if latest else "."
    if report["future_record_count"]:
        rests += f" {count(report['future_record_count'], 'record')} dated later did not count."
    if rejected := report["quarantined_record_count"]:
        rests += (
            f" {count(rejected, 'line')} that arrived in these {count(report['window_days'], 'day')} could not be read."
        )
    if basis:
        rests += f" The evidence log is {'signed' if basis.is_signed else 'not signed'}."
    return [
        f"{rests} Covers {day_text(start)} to {day_text(max(until, start))}, UTC. "
        f"Generated {moment_text(generated_at)} by {report['generated_by']}.",
    ]


def _ids(report: Mapping[str, Any], basis: Basis | None) -> list[str]:
    """What names the report and the evidence under it, each to be read as a whole."""
    ids = [report["executive_report_id"]]
    if basis:
        head = basis.checkpoint
        ids += [f"checkpoint {head.size:,} of {head.origin}", base64.b64encode(head.root).decode()]
    return ids
