"""Providers that need attention: what is wrong at each, how grave it is, and the next step of its recoveries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from cavra_pipeline.executive.words import are, count, fix_of_failure, fix_words, listed, moment_text, read
from cavra_pipeline.lanes import DECLINING_STATES
from cavra_pipeline.provider_names import provider_title
from cavra_pipeline.recoveries.causes import cause_of
from cavra_pipeline.reports.cause_words import CAUSE_WORDS
from cavra_pipeline.reports.executions import Unresolved
from cavra_pipeline.reports.glance import is_failing_now

#: So many notifications that have not arrived, or failures of one in a row, are more than a bad moment.
_GRAVE: Final = 3
#: Who releases the notifications of a provider; its connector and the worker are the platform team's.
_LEAD: Final = "incident lead"
#: What people agree about notifications that a person has put off, by the state; the others are decided for good.
_PUT_OFF: Final = {
    "deferred": "Agree when to retry {which}: no date is on record.",
    "escalated": "Get a decision about {which}.",
}
#: Notifications that people have to release or to repeat; each count has a step of its own.
_OF_PEOPLE: Final = ("uncleared_count", "suppressed_count")
#: What becomes of the notifications that have not arrived: each is in one of these counts, or in ``declined_counts``.
RETRIED: Final = ("cleared_count", "uncleared_count", "suppressed_count")
#: What an open recovery is called that is closed only once a person has decided about it, and when that is, by need.
_UNDECIDED: Final = {
    "resume": ("deferred", "its new date is agreed"),
    "decide": ("escalated", "its escalation is decided"),
}
#: What people have to do about a recovery beside its fix, by need.
_BESIDE: Final = {
    "decide": "decide on the escalation",
    "resume": "agree a new date",
    "notify": "notify an owner",
    "acknowledge": "name an owner",
}


def broken_providers(
    failing: Sequence[Mapping[str, Any]],
    open_recoveries: Sequence[Mapping[str, Any]],
    incidents: Sequence[Mapping[str, Any]],
    retries: Mapping[str, Unresolved],
    decided: Mapping[str, Mapping[str, int]],
) -> list[dict[str, Any]]:
    """Returns each provider that deliveries are failing at or that has an open recovery, what is wrong, and the step.

    Args:
        failing: Providers at which deliveries are failing, by lane.
        open_recoveries: Routes of the open recoveries.
        incidents: The open provider incidents.
        retries: Retries that failed or were skipped and are unresolved, by lane.
        decided: What the retry plans decide, counted by provider.

    Returns:
        Critical ones first, then those with most open recoveries, then those that fail now, then those with most
        notifications that have not arrived.
    """
    names = {row["provider"] for row in (*failing, *open_recoveries)}
    # An incident of the provider as a whole has no lane.
    incident_of = {incident["provider"]: incident for incident in incidents if incident["lane"] is None}
    failed = Counter[str]()
    for unresolved in retries.values():
        failed.update({provider: number for (provider, reason), number in unresolved.items() if not reason})
    broken = [
        _broken(
            name,
            [row for row in failing if row["provider"] == name],
            [recovery for recovery in open_recoveries if recovery["provider"] == name],
            incident_of.get(name),
            failed[name],
            decided.get(name, {}),
        )
        for name in sorted(names)
    ]
    return sorted(broken, key=_gravity)


def _gravity(provider: Mapping[str, Any]) -> tuple[Any, ...]:
    is_minor = provider["severity"] != "critical"
    return is_minor, -provider["open_recovery_count"], not provider["is_failing_now"], -provider["failing_notice_count"]


def _broken(
    provider: str,
    failing: Sequence[Mapping[str, Any]],
    opened: Sequence[Mapping[str, Any]],
    incident: Mapping[str, Any] | None,
    failed_retries: int,
    decided: Mapping[str, int],
) -> dict[str, Any]:
    late = sum(recovery["slo_status"] == "breached" for recovery in opened)
    missing = sum(row["failing_count"] for row in failing)
    since = min((row["failing_since"] for row in failing), default=None)
    failed_since_count = sum(row["failing_since_success_count"] for row in failing)
    is_now = since is not None and is_failing_now(since, failing[0]["success_at"], failed_since_count)
    is_grave = missing >= _GRAVE or any(row["most_failures"] >= _GRAVE for row in failing) or failed_retries > 0
    cause, fix = _cause(provider, failing, incident if is_now else None, is_now=is_now)
    declined = {state: decided[state] for state in DECLINING_STATES if decided.get(state)}
    repairs = [*([f"{fix}."] if fix else []), *_worker_step(provider, missing, decided, after=fix)]
    steps = [*repairs, *_people_steps(provider, missing, decided)]
    if opened:
        steps.append(_closing_step(provider, opened))
    if not steps:
        what = f"{count(missing, 'notification')} to {provider_title(provider)}"
        steps.append(f"Review the decision about {what}: {declined_words(declined)}.")
    return {
        "provider": provider,
        "severity": "critical" if late or (is_now and is_grave) else "warning",
        "is_failing_now": is_now,
        "provider_incident_id": incident["incident_id"] if incident else None,
        "cause": cause,
        "open_recovery_count": len(opened),
        "slo_breached_count": late,
        "failing_notice_count": missing,
        **{name: decided.get(name, 0) for name in RETRIED},
        "declined_counts": declined,
        "failed_retry_count": failed_retries,
        "failing_since": since,
        "lanes": sorted({row["lane"] for row in failing}),
        "role": "platform team" if repairs or not (_needs_a_person(decided) or declined) else _LEAD,
        "action": steps[0],
        "then": steps[1:],
    }


def _needs_a_person(counts: Mapping[str, int]) -> int:
    """How many notifications of a provider wait until a person has released or repeated them."""
    return sum(counts.get(name, 0) for name in _OF_PEOPLE)


def steps_of(provider: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns the steps of a provider, each of one role: its connector's fix and live worker, and what people decide.

    Each has ``role``, ``action``, ``then`` and ``because``.
    """
    steps, cause, declined = [provider["action"], *provider["then"]], provider["cause"], provider["declined_counts"]
    lead_count = sum(provider[name] > 0 for name in _OF_PEOPLE) + len(_PUT_OFF.keys() & declined.keys())
    # Whoever acts last closes the recoveries too.
    at = len(steps) - lead_count - (provider["open_recovery_count"] > 0) if lead_count else 0
    beside = [declined_words(declined)] if declined else []
    if not at:
        because = "; of the notifications, ".join([cause, *beside])
        return [{"role": provider["role"], "action": steps[0], "then": steps[1:], "because": f"{because}."}]
    waiting = _needs_a_person(provider)
    wait = [f"{count(waiting, 'notification waits', 'notifications wait')} for a person"] if waiting else []
    because = ", and ".join([*wait, *beside])
    return [
        {"role": provider["role"], "action": steps[0], "then": steps[1:at], "because": f"{cause}."},
        {"role": _LEAD, "action": steps[at], "then": steps[at + 1 :], "because": f"{because}."},
    ]


def declined_words(counts: Mapping[str, int]) -> str:
    """Says how many notifications a person has decided against: ``1 is deferred``."""
    return listed([f"{number:,} {'is' if number == 1 else 'are'} {state}" for state, number in counts.items()])


def _worker_step(provider: str, missing: int, decided: Mapping[str, int], *, after: str) -> list[str]:
    """What lets the worker retry the notifications that no person has to release, ``after`` a fix of theirs.

    The evidence does not say in which lanes a host sends: the step holds where it sends in none.
    """
    if not (number := decided.get("cleared_count", 0)):
        return []
    if not after:
        return [f"Retry {_which(provider, missing, number)} with a live worker."]
    those = "it" if missing == 1 else f"all {number:,}" if number == missing else f"{number:,} of the {missing:,}"
    return [f"Retry {those} live."]


def _people_steps(provider: str, missing: int, decided: Mapping[str, int]) -> list[str]:
    """What people do about the notifications that have not arrived; the first step says which they are."""
    steps: list[str] = []
    all_of_them = _which(provider, missing, missing)
    acknowledge, approve = decided.get("acknowledgement_count", 0), decided.get("approval_count", 0)
    if acknowledge and approve:
        steps.append(f"Acknowledge {acknowledge:,} and approve (in CAVRA) {approve:,} of {all_of_them}.")
    elif acknowledge:
        steps.append(f"Acknowledge {_which(provider, missing, acknowledge)}.")
    elif approve:
        steps.append(f"Approve {_which(provider, missing, approve)} (in CAVRA).")
    if number := decided.get("suppressed_count", 0):
        have, them = ("has", "it") if number == 1 else ("have", "them")
        said = f"{number:,} of them" if steps else _which(provider, missing, number)
        again = f"send {them} again in CAVRA, or allow more attempts"
        steps.append(f"{said[0].upper()}{said[1:]} {have} no retries left: {again}.")
    for state, step in _PUT_OFF.items():
        if number := decided.get(state, 0):
            what = "one" if steps else "notification"
            those = f"{state} {what}" if number == 1 else f"{number:,} {state} {what}s"
            steps.append(step.format(which=f"the {those}" + ("" if steps else f" to {provider_title(provider)}")))
    return steps


def _which(provider: str, missing: int, number: int) -> str:
    """Names so many of the notifications that have not arrived: ``3 of the 6 notifications to Slack``."""
    what = "notification" if missing == 1 else f"{missing:,} notifications"
    all_of_them = f"the {what} to {provider_title(provider)}"
    return all_of_them if number == missing else f"{number:,} of {all_of_them}"


def _closing_step(provider: str, opened: Sequence[Mapping[str, Any]]) -> str:
    """Which recoveries of a provider to close: those that wait for a person's decision only once it is made."""
    name, total = provider_title(provider), len(opened)
    which = f"the {f'{name} recovery' if total == 1 else f'{total:,} {name} recoveries'}"
    needs = [need for need in _UNDECIDED if any(recovery["need"] == need for recovery in opened)]
    if not needs:
        return f"Close {which}."
    free = sum(recovery["need"] not in _UNDECIDED for recovery in opened)
    waiting = total - free
    when = f"once {_UNDECIDED[needs[0]][1]}" if waiting == 1 else "as their decisions are made"
    states = " and ".join(_UNDECIDED[need][0] for need in needs)
    if not free:
        return f"Close {which} {when}."
    others = f"the {states} one" if waiting == 1 else f"the {waiting:,} {states} ones"
    return f"Close {free:,} of {which}; {others} {when}."


def _cause(
    provider: str,
    failing: Sequence[Mapping[str, Any]],
    incident: Mapping[str, Any] | None,
    *,
    is_now: bool,
) -> tuple[str, str]:
    """What is wrong at a provider, and the step that fixes it, empty where time has; both without a full stop."""
    name = provider_title(provider)
    if not failing:
        return f"Nothing is failing at {name} now", f"Check that {name} works"
    latest = max(failing, key=lambda row: (row["latest_at"], row["lane"]))
    newest, missing = latest["status_code"], sum(row["failing_count"] for row in failing)
    if is_now:
        codes = incident["status_codes"] if incident else [newest] if newest else []
        cause = incident["cause"] if incident else cause_of({newest})
        said = f" ({', '.join(map(str, codes))})" if codes else ""
        return f"{name} {CAUSE_WORDS[cause].what}{said}", fix_words(cause, provider)
    said = f"last {'error' if newest >= 300 else 'answer'} {newest}" if newest else "no answer"
    which = "A notification" if missing == 1 else "Some notifications"
    fix = fix_of_failure(provider, newest, failed_at=latest["latest_at"], success_at=latest["success_at"], of=missing)
    return f"{which} to {name} failed ({said})", fix


def risk_of(provider: Mapping[str, Any]) -> str:
    """Says what is wrong at a provider and what it holds up, in one sentence."""
    parts = [provider["cause"]]
    if missing := provider["failing_notice_count"]:
        have = count(missing, "notification has", "notifications have")
        parts.append(f"{have} not arrived: {_retried_words(provider)}")
        since = "" if provider["is_failing_now"] else "others have arrived since; "
        parts.append(f"{since}the oldest failed on {moment_text(read(provider['failing_since']))}")
    if failed := provider["failed_retry_count"]:
        parts.append(f"{count(failed, 'retry', 'retries')} failed")
    if total := provider["open_recovery_count"]:
        late = provider["slo_breached_count"]
        parts.append(f"{are(total, 'recovery', 'recoveries')} open" + (f", {late:,} past the limit" if late else ""))
    return "; ".join(parts) + "."


def _retried_words(provider: Mapping[str, Any]) -> str:
    """Says what becomes of a provider's notifications that have not arrived: parts that add up to all of them."""
    parts = (
        (provider["cleared_count"], "can be retried", "can be retried"),
        (provider["uncleared_count"], "must be acknowledged or approved", "must be acknowledged or approved"),
        (provider["suppressed_count"], "has no retries left", "have no retries left"),
    )
    said = [f"{number:,} {single if number == 1 else many}" for number, single, many in parts if number]
    declined = provider["declined_counts"]
    return ", ".join([*said, *([declined_words(declined)] if declined else [])])


def next_step(recovery: Mapping[str, Any], broken: Sequence[Mapping[str, Any]]) -> str:
    """Returns the next step of an open recovery: that of its provider, and what people have to do beside it.

    Args:
        recovery: Its route in the escalation plan.
        broken: The providers that need attention.
    """
    step = next(provider["action"] for provider in broken if provider["provider"] == recovery["provider"]).removesuffix(
        "."
    )
    return f"{'; '.join(filter(None, [step, _BESIDE.get(recovery['need'], '')]))}."


def retries_explained(lane: Unresolved, broken: Sequence[Mapping[str, Any]]) -> bool:
    """Returns whether every unresolved retry of a lane is to a provider that fails now, which is then the cause."""
    failing = {provider["provider"] for provider in broken if provider["is_failing_now"]}
    return all(provider in failing for provider, _ in lane)
