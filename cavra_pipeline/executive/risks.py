"""Key risks: what endangers recovery, grouped by what causes it, how grave it is, and what to do about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from cavra_pipeline.durations import short_duration
from cavra_pipeline.executive.providers import retries_explained, risk_of
from cavra_pipeline.executive.words import (
    are,
    count,
    lane_title,
    limit_words,
    listed,
    worker_interval,
)
from cavra_pipeline.lanes import LANES
from cavra_pipeline.provider_names import provider_title
from cavra_pipeline.recoveries.report import NO_PLAYBOOK
from cavra_pipeline.reports.cadence import down_minutes, outage_open_since
from cavra_pipeline.reports.cause_words import SKIP_STEPS, WORKERS_STEP
from cavra_pipeline.reports.executions import Unresolved
from cavra_pipeline.reports.health_alerts import RULES, AlertRule

#: What people have to do about open recoveries, by need: what is so of one, of many, and the step.
_OF_PEOPLE: Final = {
    "decide": ("1 recovery was escalated and needs", "{n} recoveries were escalated and need", "a decision.",
               "Decide what to do about {recoveries}{owners}."),
    "resume": ("1 recovery was deferred and has", "{n} recoveries were deferred and have", "no new date.",
               "Agree a new date for {recoveries}{owners}."),
    "notify": ("1 open recovery has", "{n} open recoveries have", "no escalation that was delivered.",
               "Notify an owner of {names}: send the escalation plan, and check that it arrives."),
    "acknowledge": ("1 recovery has", "{n} recoveries have", "a delivered notification that nobody has acknowledged.",
                    "Name an owner of {names}."),
}  # fmt: skip
#: What these are called where the step names them.
_STATE_OF: Final = {"decide": "escalated", "resume": "deferred"}
#: Facts of which no sum over lanes can be said; what is said of several lanes instead, and what to do.
_OF_LANES: Final = {
    "missed_worker_count": (
        "nothing is retried, as the retry worker is down{age}.",
        WORKERS_STEP,
    ),
    "stale_retry_plan_count": (
        "the newest retry plan is stale{age}.",
        "Make a new retry plan for each before anything is retried.",
    ),
    "unresolved_failed_execution_count": (
        "{count} retries failed or were skipped and have not been delivered since.",
        "Find out why {count} retries failed or were skipped, then retry or resolve them.",
    ),
}
#: From here on, so many more recoveries opened than closed ask for a decision, late or not.
_MANY_MORE: Final = 3
#: Who takes the step of a risk, by its category; the platform team where none is named.
_ROLES: Final = {
    **dict.fromkeys(("decide", "resume", "acknowledge", "slo_at_risk", "growing_backlog"), "executive"),
    **dict.fromkeys(("notify", "outstanding_alert_acknowledgement", "unplanned_failure"), "incident lead"),
}
#: Longer lists of lanes are counted.
_MOST_NAMED: Final = 3


def key_risks(
    report: Mapping[str, Any],
    *,
    health: Mapping[str, Mapping[str, Any]],
    retries: Mapping[str, Unresolved],
    recoveries: Sequence[Mapping[str, Any]],
    unplanned_failure_count: int,
) -> list[dict[str, Any]]:
    """Returns the risks that stand, the gravest first, and of equal ones those whose action frees most recoveries.

    Args:
        report: The report so far, its counts, lanes and broken providers filled in.
        health: The health report of each lane that has one, by lane.
        retries: Retries that failed or were skipped and are unresolved, by lane.
        recoveries: The rows of the recovery report, which name owner and ticket.
        unplanned_failure_count: Failing pairs that no escalation plan names.

    Returns:
        ``severity``, ``category``, ``risk``, ``action``, ``role`` (who takes it) and
        ``freed_recovery_count`` (open recoveries that wait for it).
    """
    risks = [
        *_evidence_risks(report),
        *_provider_risks(report["broken_providers"]),
        *_people_risks(report, recoveries),
        *_limit_risks(report),
        *_interval_risks(report["lanes"], health),
        *_lane_risks(report, health, retries),
        *_unplanned_risks(unplanned_failure_count),
        *_unread_risks(report),
    ]
    return sorted(risks, key=lambda risk: (risk["severity"] != "critical", -risk["freed_recovery_count"]))


def _risk(
    severity: str, category: str, risk: str, action: str, freed: int = 0, role: str | None = None
) -> dict[str, Any]:
    return {
        "severity": severity,
        "category": category,
        "risk": risk,
        "action": action,
        "role": role or _ROLES.get(category, "platform team"),
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
            f"No evidence has ever arrived for: {', '.join(silent)}.",
            "Find out whether these are in use; if they are, have their evidence sent.",
        )


def _unread_risks(report: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if (number := report["quarantined_record_count"]) and report["evidence_record_count"]:
        rejected, what = count(number, "line"), "it" if number == 1 else "them"
        yield _risk(
            "critical",
            "quarantined_evidence",
            f"{rejected} of evidence that arrived in the last {count(report['window_days'], 'day')} could not be read "
            "and may be missing from this report.",
            f"Find out why {rejected} could not be read, fix the source and import {what} again.",
        )


def _limit_risks(report: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    soon = report["slo_at_risk_count"]
    if soon:
        yield _risk(
            "warning",
            "slo_at_risk",
            f"{are(soon, 'recovery', 'recoveries')} close to the {limit_words(report['slo_minutes'])} limit.",
            "Ask when each recovery close to its limit will be done.",
        )
    growth = sum(day["opened_count"] - day["closed_count"] for day in report["closure_trend"])
    # Few more that are all within the limit are no reason for a decision.
    if growth > 0 and (report["slo_breached_count"] or growth >= _MANY_MORE):
        yield _risk(
            "warning",
            "growing_backlog",
            f"{growth:,} more {'recovery was' if growth == 1 else 'recoveries were'} opened than closed "
            f"in {count(report['window_days'], 'day')}.",
            "Assign more people to the open recoveries, or accept that they take longer.",
        )


def _provider_risks(broken: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for provider in broken:
        yield _risk(
            provider["severity"],
            "broken_provider",
            risk_of(provider),
            provider["action"],
            provider["open_recovery_count"],
            provider["role"],
        )


def _interval_risks(
    lanes: Sequence[Mapping[str, Any]], health: Mapping[str, Mapping[str, Any]]
) -> Iterator[dict[str, Any]]:
    """Workers that run regularly, and less often than the lane expects: their outages have one cause."""
    for lane in lanes:
        if lane["usual_interval_minutes"]:
            is_missed = health[lane["lane"]]["missed_worker_count"] > 0
            yield _risk(
                "critical" if is_missed and not _is_idle([health[lane["lane"]]]) else "warning",
                "worker_interval",
                f"{lane['title']}: {worker_interval(lane)}.",
                f"On the host that runs {lane['title']}, check that its schedule is due as often as expected, "
                "or adjust what is expected.",
            )


def _lane_risks(
    report: Mapping[str, Any], health: Mapping[str, Mapping[str, Any]], retries: Mapping[str, Unresolved]
) -> Iterator[dict[str, Any]]:
    """The lanes' health alerts, those of one rule together, without those that another risk says."""
    slow = {lane["lane"] for lane in report["lanes"] if lane["usual_interval_minutes"]}
    explained = {lane for lane in health if retries_explained(retries[lane], report["broken_providers"])}
    for rule in RULES:
        alerts = [
            (lane, alert, action)
            for lane, of in health.items()
            for alert, action in zip(of["alerts"], of["recommended_actions"], strict=True)
            if alert["category"] == rule.category(LANES[lane])
            and not _is_covered(rule, of, is_slow=lane in slow, is_explained=lane in explained)
        ]
        if alerts:
            risk = _of_rule(rule, alerts, health)
            if rule.count == "unresolved_failed_execution_count":
                risk["action"] = _skip_action([retries[lane] for lane, _, _ in alerts]) or risk["action"]
            yield risk


def _skip_action(lanes: Sequence[Unresolved]) -> str:
    """What to do about retries that were all skipped for reasons whose step is known; else empty."""
    reasons = Counter[str]()
    for unresolved in lanes:
        for (_, reason), number in unresolved.items():
            reasons[reason] += number
    if not reasons.keys() <= SKIP_STEPS.keys():
        return ""
    step = listed(list(dict.fromkeys(SKIP_STEPS[reason] for reason in sorted(reasons))))
    return f"{step[0].upper()}{step[1:]}. Then retry or resolve {'it' if reasons.total() == 1 else 'them'}."


def _is_covered(rule: AlertRule, health: Mapping[str, Any], *, is_slow: bool, is_explained: bool) -> bool:
    """Returns whether another risk covers it: a worker that is down makes no plans, and failures are a provider's."""
    return {
        "unresolved_delivery_count": True,
        "acknowledgement_pending_count": True,
        "approval_pending_count": True,
        "unresolved_failed_execution_count": is_explained,
        "missed_worker_count": is_slow,
        "stale_retry_plan_count": is_slow or health["missed_worker_count"] > 0,
    }.get(rule.count, False)


def _of_rule(
    rule: AlertRule, alerts: Sequence[tuple[str, Mapping[str, str], str]], health: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    titles = [lane_title(lane) for lane, _, _ in alerts]
    message, action = alerts[0][1]["message"], alerts[0][2]
    if len(alerts) == 1:
        action = f"{titles[0]}: {_lowered(action)}"
    else:
        message, action = _OF_LANES.get(rule.count, (rule.messages[-1], action))
        total = sum(int(health[lane].get(rule.count, 1)) for lane, _, _ in alerts)
        ages = [minutes for lane, _, _ in alerts if (minutes := _age(rule, health[lane])) is not None]
        age = f", for up to {short_duration(max(ages))}" if len(ages) == len(alerts) else ""
        message, action = (text.format(count=f"{total:,}", age=age) for text in (message, action))
    severity = rule.severity
    if rule.count == "missed_worker_count" and _is_idle([health[lane] for lane, _, _ in alerts]):
        severity, message = "warning", f"{message.removesuffix('.')}; nothing waits there now."
    where = listed(titles) if len(titles) <= _MOST_NAMED else count(len(titles), "lane")
    category = rule.count.removeprefix("is_").removesuffix("_count")
    return _risk(severity, category, f"{where}: {_lowered(message)}", action)


def _is_idle(health: Iterable[Mapping[str, Any]]) -> bool:
    """Returns whether nothing waits for the workers of some lanes: no delivery is failing, no retry is unresolved."""
    return not any(of["unresolved_delivery_count"] or of["unresolved_failed_execution_count"] for of in health)


def _age(rule: AlertRule, health: Mapping[str, Any]) -> int | None:
    """For how many minutes a worker has been down, or how old a plan is; None of other rules, and where unknown."""
    if rule.count == "missed_worker_count":
        since = outage_open_since(health["outages"])
        return down_minutes(since, health["as_of"]) if since else None
    return health["latest_retry_plan_age_minutes"] if rule.count == "stale_retry_plan_count" else None


def _lowered(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:]


def _people_risks(report: Mapping[str, Any], recoveries: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for need, (singular, plural, what, action) in _OF_PEOPLE.items():
        rows = [row for row in report["open_recoveries"] if row["need"] == need]
        if rows:
            is_late = any(row["slo_status"] == "breached" for row in rows)
            names = listed(list(dict.fromkeys(provider_title(row["provider"]) for row in rows)))
            said = singular if len(rows) == 1 else plural.format(n=f"{len(rows):,}")
            state = _STATE_OF.get(need, "")
            is_one = len(rows) == 1
            which = f"the {state} {names} recovery" if is_one else f"the {len(rows):,} {state} recoveries of {names}"
            step = action.format(names=names, recoveries=which, owners=_owner_words(rows, recoveries))
            yield _risk("critical" if is_late else "warning", need, f"{said} {what}", step)


def _owner_words(rows: Sequence[Mapping[str, Any]], recoveries: Sequence[Mapping[str, Any]]) -> str:
    """Says with whom a step is taken, and by which tickets: `` with on-call (OPS-1)``; empty where none is named."""
    keys = {(row["playbook_id"], row["provider"]) for row in rows}
    about = [recovery for recovery in recoveries if (recovery["playbook_id"], recovery["provider"]) in keys]
    owners, tickets = (
        list(dict.fromkeys(recovery[name] for recovery in about if recovery[name]))
        for name in ("owner", "external_ref")
    )
    owner_list = listed(owners) if len(owners) <= _MOST_NAMED else count(len(owners), "owner")
    ticket_list = listed(tickets) if len(tickets) <= _MOST_NAMED else count(len(tickets), "ticket")
    return (f" with {owner_list}" if owners else "") + (f" ({ticket_list})" if tickets else "")


def _unplanned_risks(unplanned: int) -> Iterator[dict[str, Any]]:
    if unplanned:
        yield _risk(
            "warning",
            "unplanned_failure",
            f"{are(unplanned, 'failing notification')} not in any escalation plan.",
            "Find out which recovery they are about and have a plan made for it.",
        )
