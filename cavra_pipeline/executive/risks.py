"""Key risks: what endangers recovery, grouped by what causes it, how grave it is, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from cavra_pipeline.executive.words import (
    are,
    count,
    duration,
    lane_title,
    limit_words,
    listed,
    moment_text,
    provider_name,
    read,
)
from cavra_pipeline.lanes import LANES
from cavra_pipeline.recoveries.report import NO_PLAYBOOK
from cavra_pipeline.reports.cause_words import CAUSE_WORDS
from cavra_pipeline.reports.health_alerts import RULES, AlertRule
from cavra_pipeline.reports.incidents import cause_of

#: So many notices that have not arrived, or failures of one in a row, are more than a bad moment.
_GRAVE: Final = 3
#: What people have to do about open recoveries, by need: what is so of one, of many, and the step.
_OF_PEOPLE: Final = {
    "decide": ("1 recovery was escalated and waits", "{n} recoveries were escalated and wait", "for a decision.",
               "Decide what is done about {names}."),
    "resume": ("1 recovery was deferred and has", "{n} recoveries were deferred and have", "no new time.",
               "Set a time for {names}."),
    "notify": ("1 open recovery has", "{n} open recoveries have", "no escalation that was delivered.",
               "Notify an owner of {names}: send the escalation plan, and check that it arrives."),
    "acknowledge": ("1 recovery has", "{n} recoveries have", "a notice that arrived and nobody has acknowledged.",
                    "Name an owner of {names}."),
}  # fmt: skip
#: Facts of which no sum over lanes can be said; what is said of several lanes instead, and what to do.
_OF_LANES: Final = {
    "missed_worker_count": (
        "the retry worker is not running{age}.",
        "Check that the schedules are on and the Dagster daemon runs, then run the worker of each lane once.",
    ),
    "stale_retry_plan_count": (
        "the newest retry plan is stale{age}.",
        "Make a new retry plan of each before anything is retried.",
    ),
    "unresolved_failed_execution_count": (
        "{count} retries failed or were skipped and have not been delivered since.",
        "Open the unresolved executions and fix what each names, then retry or resolve them.",
    ),
}
_AGES: Final = {
    "missed_worker_count": "latest_worker_age_minutes",
    "stale_retry_plan_count": "latest_retry_plan_age_minutes",
}
#: Longer lists of lanes are counted.
_MOST_NAMED: Final = 3


def key_risks(
    report: Mapping[str, Any], *, health: Mapping[str, Mapping[str, Any]], unplanned_failure_count: int
) -> list[dict[str, Any]]:
    """Returns the risks that stand, the gravest first, and of equal ones those whose action frees most recoveries.

    Args:
        report: The report so far, its counts, lanes and broken providers filled in.
        health: The health report of each lane that has one, by lane.
        unplanned_failure_count: Failing pairs that no escalation plan names.

    Returns:
        ``severity``, ``category``, ``risk``, ``action`` and ``freed_recovery_count``: open recoveries that wait for it.
    """
    found = [
        *_evidence_risks(report),
        *_provider_risks(report["broken_providers"]),
        *_people_risks(report),
        *_limit_risks(report),
        *_lane_risks(health),
        *_unplanned_risks(unplanned_failure_count),
    ]
    return sorted(found, key=lambda risk: (risk["severity"] != "critical", -risk["freed_recovery_count"]))


def _risk(severity: str, category: str, risk: str, action: str, freed: int = 0) -> dict[str, Any]:
    return {
        "severity": severity,
        "category": category,
        "risk": risk,
        "action": action,
        "freed_recovery_count": freed,
    }


def _evidence_risks(report: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
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
            "Look up why these records were quarantined, and correct their source.",
        )


def _limit_risks(report: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    soon = report["slo_at_risk_count"]
    if soon:
        yield _risk(
            "warning",
            "slo_at_risk",
            f"{are(soon, 'recovery', 'recoveries')} close to the {limit_words(report['slo_minutes'])} limit.",
            "Ask for a time by which each of these is done.",
        )
    growth = sum(day["opened_count"] - day["closed_count"] for day in report["closure_trend"])
    if growth > 0:
        yield _risk(
            "warning",
            "growing_backlog",
            f"{growth:,} more {'recovery was' if growth == 1 else 'recoveries were'} opened than closed "
            f"in {count(report['window_days'], 'day')}.",
            "Add responders, or find what is causing new recoveries.",
        )


def broken_providers(
    failing: Sequence[Mapping[str, Any]],
    open_recoveries: Sequence[Mapping[str, Any]],
    incidents: Sequence[Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """Returns each provider that deliveries are failing at or that has an open recovery, what is wrong, and the step.

    Args:
        failing: Providers at which deliveries are failing, by lane.
        open_recoveries: Routes of the open recoveries.
        incidents: The open provider incidents.

    Returns:
        Those with most open recoveries first, then those with most notices that have not arrived.
    """
    names = {one["provider"] for one in (*failing, *open_recoveries)}
    # An incident of the provider as a whole has no lane.
    incident_of = {one["provider"]: one for one in incidents if one["lane"] is None}
    found = [
        _broken(
            name,
            [row for row in failing if row["provider"] == name],
            [one for one in open_recoveries if one["provider"] == name],
            incident_of.get(name),
        )
        for name in sorted(names)
    ]
    return sorted(found, key=lambda one: (-one["open_recovery_count"], -one["failing_notice_count"]))


def _broken(
    provider: str,
    failing: Sequence[Mapping[str, Any]],
    opened: Sequence[Mapping[str, Any]],
    incident: Mapping[str, Any] | None,
) -> dict[str, Any]:
    name = provider_name(provider)
    late = sum(one["slo_status"] == "breached" for one in opened)
    notices = sum(row["failing_count"] for row in failing)
    says, steps = f"{name} has failed before", [f"Fix {name}"]
    is_grave = late > 0
    if failing:
        newest = max(failing, key=lambda row: (row["latest_at"], row["lane"]))["status_code"]
        codes = incident["status_codes"] if incident else [newest] if newest else []
        words = CAUSE_WORDS[incident["cause"] if incident else cause_of({newest})]
        says = f"{name} {words.what}" + (f" ({', '.join(map(str, codes))})" if codes else "")
        steps = [words.step.format(name=name), "let the worker send what is due"]
        is_grave = is_grave or notices >= _GRAVE or max(row["most_failures"] for row in failing) >= _GRAVE
    if opened:
        its = "its recovery" if len(opened) == 1 else f"its {len(opened):,} recoveries"
        steps.append(f"record {its} as resolved or mitigated")
    return {
        "provider": provider,
        "severity": "critical" if is_grave else "warning",
        "provider_incident_id": incident["incident_id"] if incident else None,
        "cause": says,
        "open_recovery_count": len(opened),
        "slo_breached_count": late,
        "failing_notice_count": notices,
        "failing_since": min((row["failing_since"] for row in failing), default=None),
        "lanes": sorted({row["lane"] for row in failing}),
        "action": f"{steps[0]}, then {' and '.join(steps[1:])}.",
    }


def _provider_risks(broken: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for one in broken:
        parts = [one["cause"]]
        if one["failing_notice_count"]:
            since = moment_text(read(one["failing_since"]))
            notices = count(one["failing_notice_count"], "notice has", "notices have")
            parts.append(f"{notices} not arrived, the oldest since {since}")
        if total := one["open_recovery_count"]:
            late = one["slo_breached_count"]
            past = f", {late:,} past the limit" if late else ""
            parts.append(f"{are(total, 'recovery', 'recoveries')} open{past}")
        yield _risk(one["severity"], "broken_provider", "; ".join(parts) + ".", one["action"], total)


def _lane_risks(health: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """The lanes' health alerts, those of one rule together; failing deliveries are named by provider already."""
    for rule in RULES:
        found = [
            (lane, alert, action)
            for lane, report in health.items()
            for alert, action in zip(report["alerts"], report["recommended_actions"], strict=True)
            if alert["category"] == rule.category(LANES[lane]) and not _is_said(rule, report)
        ]
        if found:
            yield _of_rule(rule, found, health)


def _is_said(rule: AlertRule, report: Mapping[str, Any]) -> bool:
    """Tells whether another risk says it: a worker that does not run makes no plans, and failures are a provider's."""
    is_of_provider = rule.count == "unresolved_delivery_count"
    return is_of_provider or (rule.count == "stale_retry_plan_count" and report["missed_worker_count"] > 0)


def _of_rule(
    rule: AlertRule, found: Sequence[tuple[str, Mapping[str, str], str]], health: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    titles = [lane_title(lane) for lane, _, _ in found]
    message, action = found[0][1]["message"], found[0][2]
    if len(found) == 1:
        action = f"{titles[0]}: {_lowered(action)}"
    else:
        message, action = _OF_LANES.get(rule.count, (rule.messages[-1], action))
        total = sum(int(health[lane].get(rule.count, 1)) for lane, _, _ in found)
        ages = [health[lane][_AGES[rule.count]] for lane, _, _ in found] if rule.count in _AGES else []
        age = f", for up to {duration(max(ages))}" if ages and None not in ages else ""
        message = message.format(count=f"{total:,}", age=age)
    where = listed(titles) if len(titles) <= _MOST_NAMED else count(len(titles), "lane")
    category = rule.count.removeprefix("is_").removesuffix("_count")
    return _risk(rule.severity, category, f"{where}: {_lowered(message)}", action)


def _lowered(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:]


def _people_risks(report: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for need, (one, many, what, action) in _OF_PEOPLE.items():
        rows = [row for row in report["open_recoveries"] if row["need"] == need]
        if rows:
            is_late = any(row["slo_status"] == "breached" for row in rows)
            names = listed(list(dict.fromkeys(provider_name(row["provider"]) for row in rows)))
            said = one if len(rows) == 1 else many.format(n=f"{len(rows):,}")
            yield _risk("critical" if is_late else "warning", need, f"{said} {what}", action.format(names=names))


def _unplanned_risks(unplanned: int) -> Iterator[dict[str, Any]]:
    if unplanned:
        yield _risk(
            "warning",
            "unplanned_failure",
            f"{count(unplanned, 'failing notice belongs', 'failing notices belong')} to no escalation plan.",
            "Find out which recovery they are about and have a plan made for it.",
        )
