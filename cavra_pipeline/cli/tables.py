"""Words that several commands show: levels in their colours, instants, ages, what is wrong with connectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from cavra_pipeline.cli.common import clock, next_command
from cavra_pipeline.durations import short_duration
from cavra_pipeline.executive.wrong import Wrong, some
from cavra_pipeline.reports.cause_words import CAUSE_WORDS, REASON_WORDS
from cavra_pipeline.reports.overview import Extent
from cavra_pipeline.terminal import Styled, Terminal, lines, shown

_LEVEL_STYLES: Final = {
    "critical": "bold red",
    "warning": "yellow",
    "healthy": "green",
    "unknown": "dim",
    "ready": "bold",
    "waiting": "cyan",
    "open": "yellow",
    "closed": "green",
}

#: Where a failing delivery stands in a retry plan (glossary), what can go now first.
PLAN_STATES: Final = ("ready", "held", "waiting", "exhausted")
#: Decisions of a retry plan, and why a plan or a worker run decided so; what is not here is said as it stands.
_WORDS: Final = {
    "retry": "due",
    "wait": "waiting",
    "suppress": "exhausted",
    "max_retry_attempts_reached": "no attempt is left",
    "non_retryable_status_code": "the policy never retries its status",
    "retry_delay_not_elapsed": "its delay has not passed yet",
    "retry_delay_elapsed": "its delay has passed",
    "acknowledgement": "no acknowledgement",
    "approval": "no approval",
    **{cause: words.what for cause, words in CAUSE_WORDS.items()},
    **REASON_WORDS,
}
#: What a list needs beside its sentences, in columns.
_OF_A_LIST: Final = 5


def no_evidence(evidence: Extent) -> str:
    """Says that there is no evidence: none at all, or none before the first record."""
    if evidence.oldest_at:
        return f"no evidence yet: the first record is of {short_time(evidence.oldest_at)} UTC"
    return "no evidence yet; cavra-pipeline demo brings a recorded month"


def said(name: str | None) -> str:
    """Says a decision, an outcome or a reason in words."""
    return _WORDS.get(name or "", (name or "").replace("_", " "))


def level(name: str) -> Styled:
    """Shows an alert level or an action in its colour."""
    return shown(name, _LEVEL_STYLES.get(name.partition(":")[0], ""))


def short_time(moment: str | None) -> str:
    """Shows an instant to the minute, in UTC."""
    return "-" if moment is None else moment[:16].replace("T", " ")


def near_time(moment: str | None, as_of: str | None = None) -> str:
    """Shows an instant to the minute, in UTC: without its year, unless that is another one than that of `as_of`."""
    is_plain = moment is not None and (as_of is None or moment[:4] == as_of[:4])
    return short_time(moment)[len("2026-") :] if is_plain else short_time(moment)


def time_of_day(moment: str, as_of: str) -> str:
    """Shows the time alone of an instant, to the minute, in UTC; empty unless it is of the same day as `as_of`."""
    return moment[len("2026-11-30T") : 16] if moment[:10] == as_of[:10] else ""


def as_facts(title: str, pairs: Sequence[tuple[str, Any]], *after: str) -> Callable[[Terminal, Any], None]:
    """Returns how an answer is shown: a line for each pair, and the commands that lead on."""

    def show(console: Terminal, _document: Any) -> None:
        console.facts(title, pairs)
        if after:
            console.next(*after)

    return show


def say_if_later(console: Terminal, written: Mapping[str, Any]) -> None:
    """Says from when a record of a person's word counts, if that is later than now."""
    counts_from = written["created_at"]
    if datetime.fromisoformat(counts_from) > clock():
        console.print(f"Counts from {short_time(counts_from)} UTC: a wrong clock gave the previous record that date.")


def ago(minutes: int | None) -> str:
    """Shows how long ago something was, in whole minutes; two units at most."""
    return "never" if minutes is None else f"{short_duration(minutes)} ago" if minutes else "just now"


def duration_or_never(minutes: int | None) -> str:
    """Shows how long it has been since something was, in whole minutes."""
    return "never" if minutes is None else short_duration(minutes)


#: Four heartbeats that did not come. Only what is late for longer counts as a daemon that is down.
_LATE_HEARTBEAT_MINUTES: Final = 2


def daemon_words(daemon: Mapping[str, Any]) -> str:
    """Returns the state of the Dagster daemon in words."""
    if daemon["state"] == "unknown":
        return "unknown: Dagster's instance can't be opened (cavra-pipeline doctor)"
    if daemon["state"] == "starting":
        return "starting; no heartbeat yet"
    if daemon["age_minutes"] is None:
        return "not running; cavra-pipeline dev starts it"
    heartbeat, silent = f"heartbeat {ago(daemon['age_minutes'])}", some(daemon["silent"])
    if daemon["state"] == "alive" and daemon["age_minutes"] >= _LATE_HEARTBEAT_MINUTES:
        return f"last {heartbeat}, where one is due every 30 s: it may have stopped"
    if daemon["state"] == "alive":
        return f"alive, {heartbeat}" + (f"; {silent} silent" if silent else "")
    return f"not running, last {heartbeat}; cavra-pipeline dev starts it"


def is_daemon_on(daemon: Mapping[str, Any]) -> bool:
    """Returns whether Dagster's daemon, as `daemon_of` returns it, runs or is starting."""
    return daemon["state"] in ("alive", "starting")


def is_daemon_off(daemon: Mapping[str, Any]) -> bool:
    """Returns whether Dagster's daemon, as `daemon_of` returns it, does not run."""
    return daemon["state"] in ("never_seen", "silent")


def show_plan_states(console: Terminal) -> None:
    """Says below a table what its columns of states count."""
    console.print("ready: a live run can send it; held: due, but needs a person", style="dim")
    console.print("waiting: for the end of its delay; exhausted: no attempt is left", style="dim")


def show_wrong(console: Terminal, heading: str, problems: Sequence[Wrong]) -> None:
    """Shows what is wrong, each with the commands that show it."""
    rows = []
    for problem in problems:
        commands = (
            f"cavra-pipeline {words}" if problem.is_of_now else next_command(words) for words in problem.commands
        )
        shown_ = [shown(line, "bold") for words in commands for line in console.folded(words, _OF_A_LIST)]
        step = [shown(problem.step, "dim")] if problem.step else []
        rows.append(("-", lines(problem.what, *step, *shown_)))
    console.facts(heading, rows)


def show_connector_problems(console: Terminal, problems: Sequence[Mapping[str, Any]]) -> None:
    """Shows why connectors cannot be used, and what to fix."""
    rows = [(problem["connector"], fault) for problem in problems for fault in problem["faults"]]
    if rows:
        console.table("Connectors to fix", ("connector", "fault"), rows, is_last_folded=True)
