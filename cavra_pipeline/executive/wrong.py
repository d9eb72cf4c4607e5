"""What is wrong in a home, a sentence each with the commands that show it. `status` and the demo say it alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from cavra_pipeline.documents import parse_as_of
from cavra_pipeline.durations import short_duration
from cavra_pipeline.executive.words import are, count, fix_of_failure, incident_sentence, listed, worker_interval
from cavra_pipeline.lanes import DECLINING_STATES, LANES, Gate
from cavra_pipeline.provider_names import provider_title
from cavra_pipeline.reports.cadence import down_minutes
from cavra_pipeline.reports.cause_words import NOTHING_TO_FIX

_MOST_NAMED: Final = 3
#: What is wrong by an alert of a lane's health, by the records that it counts.
_CAUSES: Final = {
    "worker_run": "schedule off",
    "retry_plan": "stale plan",
    "alert_plan": "health alerts",
    "execution": "failed retries",
    "delivery": "failing",
}
#: What due retries are held for, of one kind and beside others.
_GATE_WORDS: Final = {
    Gate.ACKNOWLEDGEMENT: ("for an acknowledgement", "to acknowledge"),
    Gate.APPROVAL: ("for an approval in CAVRA", "to approve in CAVRA"),
}


@dataclass(frozen=True, slots=True)
class Wrong:
    """One thing that is wrong, and what shows it.

    Attributes:
        what: The sentence.
        commands: The commands, each without its first word.
        is_of_now: Whether they answer for now only, not for an earlier instant.
        step: What to do about it, as a sentence; empty where the commands say it.
    """

    what: str
    commands: tuple[str, ...]
    is_of_now: bool = False
    step: str = ""


_DAEMON_OFF: Final = Wrong("Dagster's daemon is not running: no scheduled retries, no alerts", ("dev",), is_of_now=True)


def what_is_wrong(
    overview: Mapping[str, Any],
    leaks: Mapping[date, int] | None = None,
    *,
    is_daemon_off: bool = False,
    down_step: str = "",
    interval_steps: Mapping[str, str] | None = None,
) -> list[Wrong]:
    """Returns what is wrong, causes before what follows from them; none if nothing is wrong.

    Args:
        overview: How the home stands, as `reports.overview` returns it.
        leaks: How many leaked secrets of each landing day no one has handled.
        is_daemon_off: Whether no Dagster daemon runs where one should; the demo ends without one by design.
        down_step: What to do about workers that are down.
        interval_steps: What to do about each lane's worker that runs less often than expected.
    """
    incidents, lanes, down = overview["incidents"], overview["lanes"].values(), down_workers(overview)
    due_count = sum(lane["retryable_count"] for lane in lanes)
    explained = {name for incident in incidents for name in incident["lanes"]} | {name for name, _ in down}
    return [
        *([_DAEMON_OFF] if is_daemon_off else []),
        *(Wrong(incident_sentence(incident, overview["as_of"]), ("incidents --open",)) for incident in incidents),
        *leaked(leaks or {}),
        *_down_lines(down, down_step),
        *(
            _of_lane(lane, worker_interval(lane), step=(interval_steps or {}).get(lane["lane"], ""))
            for lane in lanes
            if lane["usual_interval_minutes"]
        ),
        *_recoveries(overview["recoveries"]),
        *_held_retries([lane for lane in lanes if lane["held_count"] or lane["held_when_due_count"]], due_count),
        *_unacknowledged([lane for lane in lanes if lane["outstanding_acknowledgements"]]),
        *(
            _of_lane(lane, _first_sentence(lane["worst_alert"]["message"]))
            for lane in lanes
            if lane["worst_alert"] and lane["lane"] not in explained and not _is_covered_by_held(lane)
        ),
        *_boundary(overview),
    ]


def main_causes(overview: Mapping[str, Any]) -> dict[str, str]:
    """Returns what is wrong first in each lane, in a word or two: the provider of an open incident by its name."""
    down = dict(down_workers(overview))
    causes = {}
    for name, lane in overview["lanes"].items():
        providers = [incident["provider"] for incident in overview["incidents"] if name in incident["lanes"]]
        if name in down:
            causes[name] = "no runs" if down[name] else "no run yet"
        elif providers:
            causes[name] = provider_title(providers[0]) if len(providers) == 1 else f"{len(providers)} incidents"
        elif lane["usual_interval_minutes"]:
            causes[name] = "few runs"
        elif worst := lane["worst_alert"]:
            causes[name] = "held" if worst["category"].endswith("_gap") else _CAUSES[worst["record_type"]]
    return causes


def some(names: list[str]) -> str:
    """Lists the first names, and says how many more there are."""
    more = len(names) - _MOST_NAMED
    return listed([*names[:_MOST_NAMED], *([f"{more:,} more"] if more > 0 else [])])


def leaked(leaks: Mapping[date, int]) -> Iterator[Wrong]:
    """Yields a line for the leaked secrets that no one has handled, if there are any, by landing day."""
    if leaks:
        secrets = count(sum(leaks.values()), "leaked secret")
        yield Wrong(
            f"{secrets} to rotate, in evidence from {some([*map(str, leaks)])}", ("findings", "alerts"), is_of_now=True
        )


def down_workers(overview: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Returns the lanes whose worker has missed runs up to now, each with for how long; empty where none has run."""
    return [
        (name, f"for {short_duration(down_minutes(since, overview['as_of']))}" if since else "")
        for name, lane in overview["lanes"].items()
        for since in [lane["outage_open_since"]]
        if lane["latest_worker_age_minutes"] is None or (since and not lane["usual_interval_minutes"])
    ]


def _down_lines(down: list[tuple[str, str]], step: str) -> Iterator[Wrong]:
    ran = [f"{name} {since}" for name, since in down if since]
    never = [name for name, since in down if not since]
    if ran:
        first = next(name for name, since in down if since)
        yield Wrong(f"{are(len(ran), 'worker')} down: {some(ran)}", (f"retry-health --lane {first}",), step=step)
    if never:
        what = f"no worker run has been recorded yet: {some(never)}"
        yield Wrong(what, (f"retry-health --lane {never[0]}",), step="" if ran else step)


def _of_lane(lane: Mapping[str, Any], what: str, step: str = "") -> Wrong:
    return Wrong(f"{lane['lane']}: {what}", (f"retry-health --lane {lane['lane']}",), step=step)


def _is_covered_by_held(lane: Mapping[str, Any]) -> bool:
    """Whether the worst of a lane is what its held retries need, which one line says of all lanes."""
    return bool(lane["held_count"]) and lane["worst_alert"]["category"].endswith("_gap")


def _held_retries(lanes: list[Mapping[str, Any]], due: int) -> Iterator[Wrong]:
    """One line for the held retries of all lanes, as what holds them is the same in each."""
    held_counts: Counter[Gate] = Counter()
    declined: Counter[str] = Counter()
    for lane in lanes:
        if lane["held_count"]:
            held_counts[LANES[lane["lane"]].gate] += lane["held_count"] - sum(lane["declined_counts"].values())
            declined.update(lane["declined_counts"])
    if held_counts:
        to_do = [f"{number:,} {_GATE_WORDS[gate][1]}" for gate, number in held_counts.items() if number]
        to_do += undecided([*declined.elements()], "")
        is_of_one_kind = len(held_counts) == 1 and not declined
        why = f" {_GATE_WORDS[next(iter(held_counts))][0]}" if is_of_one_kind else f": {listed(to_do)}"
        total = held_counts.total() + declined.total()
        is_held = "is held" if total == 1 else "are held"
        later = sum(lane["held_when_due_count"] for lane in lanes)
        then = f"; {later:,} more will be held once due" if later else ""
        words = f"retry-plan --lane {lanes[0]['lane']}" if len(lanes) == 1 else "retry-plan"
        what = f"{total:,} of {count(due, 'due retry', 'due retries')} {is_held}{why}{then}"
        yield Wrong(what, (words,))


def _unacknowledged(lanes: list[Mapping[str, Any]]) -> Iterator[Wrong]:
    if lanes:
        numbers = {lane["lane"]: len(lane["outstanding_acknowledgements"]) for lane in lanes}
        states = [pair["acknowledgement_state"] for lane in lanes for pair in lane["outstanding_acknowledgements"]]
        parts = undecided(states, "to acknowledge")
        alerts = count(len(states), "health alert") + " to acknowledge"
        if any(states):
            alerts = f"{are(len(states), 'health alert')} open, {listed(parts)}"
        where = some([f"{number:,} of {name}" for name, number in numbers.items()])
        yield Wrong(f"{alerts}: {where}", (f"retry-health --lane {lanes[0]['lane']}",))


def steps_without_incident(lanes: Iterable[Mapping[str, Any]]) -> list[str]:
    """Returns what to do about failing deliveries of no open incident, a sentence for each provider and cause.

    Of the lanes that are not healthy; the most deliveries first. Of a cause that passes by itself it says that.
    """
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for lane in lanes:
        if lane["alert_level"] in ("critical", "warning"):
            for cause in lane["causes_without_incident"]:
                groups.setdefault((cause["provider"], cause["cause"]), []).append(cause)
    steps = []
    for (provider, _), causes in sorted(groups.items(), key=lambda group: -_delivery_count(group[1])):
        newest = max(causes, key=lambda cause: cause["failed_at"])
        failed_at = parse_as_of(newest["failed_at"])
        success_at = parse_as_of(newest["accepted_at"]) if newest["accepted_at"] else None
        fix = fix_of_failure(
            provider,
            newest["status_codes"][-1] if newest["status_codes"] else None,
            failed_at=failed_at,
            success_at=success_at,
            of=_delivery_count(causes),
        )
        is_now = any(cause["is_failing_now"] for cause in causes)
        nothing = "nothing to fix, this passes by itself" if is_now else NOTHING_TO_FIX
        steps.append(f"{fix or f'{provider_title(provider)}: {nothing}'}.")
    return steps


def _delivery_count(causes: Iterable[Mapping[str, Any]]) -> int:
    return sum(cause["delivery_count"] for cause in causes)


def undecided(states: Collection[str | None], missing: str) -> list[str]:
    """Says how many still need a decision, and how many a person put off.

    Args:
        states: What a person has said of each, if anything.
        missing: What those are that still need one: ``missing``, ``to acknowledge``.

    Returns:
        Counts with words, such as ``2 missing`` and ``1 deferred``; what there is none of is left out.
    """
    declined = {state: number for state in DECLINING_STATES if (number := list(states).count(state))}
    number = len(states) - sum(declined.values())
    return [*([f"{number:,} {missing}"] if number else []), *(f"{each:,} {state}" for state, each in declined.items())]


def put_off(states: Collection[str | None]) -> str:
    """Says how many of those that a sentence has counted a person has put off: `` (1 of them deferred)``, or nothing.

    Args:
        states: What a person has said of each, if anything.
    """
    declined = undecided([state for state in states if state in DECLINING_STATES], "")
    if not declined:
        return ""
    first = declined[0].replace(" ", " of them ", 1) if len(states) > 1 else declined[0].partition(" ")[2]
    return f" ({listed([first, *declined[1:]])})"


def _recoveries(recoveries: Mapping[str, Any]) -> Iterator[Wrong]:
    if total := recoveries["recovery_open_count"]:
        late, limit = recoveries["recovery_slo_breached_count"], short_duration(recoveries["recovery_slo_minutes"])
        of_all = {1: "", 2: "both "}.get(total, "all of them ")
        which = of_all if late == total else f"{late:,} of them " if late else "none "
        yield Wrong(f"{are(total, 'recovery', 'recoveries')} open, {which}past the limit of {limit}", ("recoveries",))


def _boundary(overview: Mapping[str, Any]) -> Iterator[Wrong]:
    evidence, there = overview["evidence"], {}
    if number := evidence["week_quarantined_count"]:
        there["quarantine"] = f"{count(number, 'record')} quarantined"
    if number := evidence["week_finding_count"]:
        there["findings"] = f"{count(number, 'value')} not public-safe"
    if there:
        since = evidence["news_since"]
        commands = tuple(f"{name} --from {since}" for name in there)
        yield Wrong(f"{', '.join(there.values())} since {since}", commands, is_of_now=True)


def _first_sentence(message: str) -> str:
    return message.removesuffix(".").partition(". ")[0]
