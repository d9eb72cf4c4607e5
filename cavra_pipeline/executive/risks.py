"""Key risks: one table of what endangers recovery, how grave it is, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from cavra_pipeline.executive.words import (
    are,
    count,
    duration,
    limit_words,
    moment_text,
    provider_name,
)
from cavra_pipeline.lanes import LANES
from cavra_pipeline.recoveries.report import NO_PLAYBOOK

#: So many notices that have not arrived, or failures of one in a row, are more than a bad moment.
_GRAVE: Final = 3
#: What an HTTP status means to somebody who has to fix it: from, to, what it says, what to do.
_CAUSES: Final = (
    (401, 401, "rejects our credentials (401)", "Renew the {name} credential"),
    (403, 403, "refuses permission (403)", "Have the permissions of the {name} connector restored"),
    (404, 404, "does not know the address (404)", "Correct the {name} address"),
    (410, 410, "says that the address is gone (410)", "Correct the {name} address"),
    (429, 429, "is rejecting too many messages (429)", "Have the {name} limit raised, or send less"),
    (400, 499, "refuses the message ({code})", "Have the {name} connector checked"),
    (500, 599, "is returning server errors ({code})", "Ask the {name} team when it works again"),
)


def key_risks(
    report: Mapping[str, Any], *, failing: Sequence[Mapping[str, Any]], unplanned_failure_count: int
) -> list[dict[str, str]]:
    """Returns the risks that stand: ``severity``, ``category``, ``risk`` and ``action``, the gravest first.

    Args:
        report: The report so far, its counts and lanes filled in.
        failing: Providers at which deliveries are failing, by lane.
        unplanned_failure_count: Failing pairs that no escalation plan names.
    """
    found = [
        *_evidence_risks(report),
        *_limit_risks(report),
        *_provider_risks(failing),
        *_lane_risks(report["lanes"]),
        *_care_risks(report, unplanned_failure_count),
    ]
    return sorted(found, key=lambda risk: risk["severity"] != "critical")


def _risk(severity: str, category: str, risk: str, action: str) -> dict[str, str]:
    return {"severity": severity, "category": category, "risk": risk, "action": action}


def _evidence_risks(report: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    if not report["evidence_record_count"]:
        yield _risk(
            "critical",
            "no_evidence",
            "No evidence has arrived, so open recoveries, failures and outages cannot be seen.",
            "Check that CAVRA's evidence reaches the landing zone and is ingested.",
        )
        return
    if report["recovery_state"] == NO_PLAYBOOK:
        yield _risk(
            "warning",
            "no_playbook",
            "No recovery playbook has arrived, so no recovery is known.",
            "Check that CAVRA's recovery playbooks reach the landing zone.",
        )
    silent = [
        lane["title"]
        for lane in report["lanes"]
        if not lane["evidence_record_count"] and LANES[lane["lane"]].is_always_in_use
    ]
    if silent:
        yield _risk(
            "warning",
            "silent_lane",
            f"No evidence has ever arrived of: {', '.join(silent)}.",
            "Find out whether these are in use; if they are, have their evidence sent.",
        )
    if report["quarantined_record_count"]:
        yield _risk(
            "warning",
            "quarantined_evidence",
            f"{count(report['quarantined_record_count'], 'record')} could not be read and "
            "may be missing from this report.",
            "Have the quarantined records looked at.",
        )


def _limit_risks(report: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    limit = limit_words(report["slo_minutes"])
    late = [one for one in report["open_recoveries"] if one["slo_status"] == "breached"]
    if late:
        oldest = max(late, key=lambda one: one["age_minutes"])
        first = f"{provider_name(oldest['provider'])}, {oldest['playbook_id']}"
        if len(late) > 1:
            action = f"Name an owner today for each of the {len(late):,}, oldest first; start with {first}."
        else:
            action = f"Name an owner for {first} today."
        yield _risk(
            "critical",
            "slo_breached",
            f"{are(len(late), 'recovery', 'recoveries')} past the {limit} limit.",
            action,
        )
    soon = report["slo_at_risk_count"]
    if soon:
        yield _risk(
            "warning",
            "slo_at_risk",
            f"{are(soon, 'recovery', 'recoveries')} close to the {limit} limit.",
            "Ask the owners of these for a time by which they are done.",
        )
    growth = sum(day["opened_count"] - day["closed_count"] for day in report["closure_trend"])
    if growth > 0:
        yield _risk(
            "warning",
            "growing_backlog",
            f"{growth:,} more {'recovery was' if growth == 1 else 'recoveries were'} opened than closed "
            f"in {count(report['window_days'], 'day')}.",
            "Give recoveries more hands, or find what opens them.",
        )


def _provider_risks(failing: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, str]]:
    by_provider: dict[str, list[Mapping[str, Any]]] = {}
    for row in failing:
        by_provider.setdefault(row["provider"], []).append(row)
    risks = []
    for provider, rows in by_provider.items():
        total = sum(row["failing_count"] for row in rows)
        newest = max(rows, key=lambda row: (row["latest_at"], row["lane"]))
        name = provider_name(provider)
        says, action = _cause(newest["status_code"], name)
        since = moment_text(min(row["failing_since"] for row in rows))
        risk = f"{name} {says}; {count(total, 'notice has', 'notices have')} not arrived, the oldest since {since}."
        is_grave = total >= _GRAVE or max(row["most_failures"] for row in rows) >= _GRAVE
        severity = "critical" if is_grave else "warning"
        risks.append((total, provider, severity, risk, f"{action}, then let the worker send what is due."))
    for _, _, severity, risk, action in sorted(risks, key=lambda one: (-one[0], one[1])):
        yield _risk(severity, "failing_provider", risk, action)


def _cause(code: int | None, name: str) -> tuple[str, str]:
    for low, high, says, action in _CAUSES:
        if code is not None and low <= code <= high:
            return says.format(code=code), action.format(name=name)
    return "does not answer", f"Check that {name} can be reached"


def _lane_risks(lanes: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, str]]:
    """The lanes' health alerts; failing deliveries are told by provider already."""
    for lane in lanes:
        for alert in lane["alerts"]:
            if alert["category"] != LANES[lane["lane"]].delivery_alert:
                risk = f"{lane['title']}: {alert['message'][0].lower()}{alert['message'][1:]}"
                yield _risk(alert["severity"], alert["category"], risk, f"{lane['title']}: {_lowered(alert['action'])}")


def _lowered(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:]


def _care_risks(report: Mapping[str, Any], unplanned: int) -> Iterator[dict[str, str]]:
    needs = report["open_by_need"]
    if needs.get("notify"):
        yield _risk(
            "warning",
            "not_notified",
            f"Nobody was notified of {count(needs['notify'], 'open recovery', 'open recoveries')}.",
            "Send the escalation plan, and check that its notices arrive.",
        )
    if needs.get("acknowledge"):
        yield _risk(
            "warning",
            "unacknowledged",
            f"Notices of {count(needs['acknowledge'], 'recovery', 'recoveries')} arrived and nobody has acknowledged "
            "them.",
            "Have the people on call acknowledge the escalation plan.",
        )
    if needs.get("close"):
        longest = max(one["age_minutes"] for one in report["open_recoveries"] if one["need"] == "close")
        yield _risk(
            "warning",
            "not_closed",
            f"{count(needs['close'], 'recovery has', 'recoveries have')} an owner and no closure, "
            f"the oldest for {duration(longest)}.",
            "Have the owners record what is done as resolved or mitigated.",
        )
    if unplanned:
        yield _risk(
            "warning",
            "unplanned_failure",
            f"{count(unplanned, 'failing notice belongs', 'failing notices belong')} to no escalation plan.",
            "Find out which recovery they are about and have a plan made for it.",
        )
