"""Signals for the life cycle of alerts, and words for a person, from the watcher's state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Final

from cavra_pipeline.alerts.signals import Signal
from cavra_pipeline.slots.observations import length_of
from cavra_pipeline.slots.verdicts import Cause
from cavra_pipeline.slots.watcher import Episode, WatcherState

#: The kinds of alerts that the watcher of slots decides on.
KINDS: Final = ("daemon_down", "code_location_down", "missed_run")

#: What was wrong, by cause.
CAUSE_WORDS: Final = {
    Cause.SCHEDULE_STOPPED: "the schedule was off",
    Cause.DAEMON_DOWN: "the daemon was down",
    Cause.CODE_LOCATION_NOT_LOADABLE: "the code location did not load",
    Cause.QUEUED_TOO_LONG: "the run waited in the queue",
    Cause.FAILED_BEFORE_WORK: "the run failed before its work",
    Cause.WAREHOUSE_BUSY: "the warehouse was busy",
    Cause.UNKNOWN_CAUSE: "no cause is known",
}
_GAP_KINDS: Final = {
    Cause.DAEMON_DOWN: ("daemon_down", "dagster daemon"),
    Cause.CODE_LOCATION_NOT_LOADABLE: ("code_location_down", "code location"),
}


def signals_of(memory: WatcherState) -> Iterator[Signal]:
    """Yields what is wrong by the watcher's memory: gaps without a notification, and slots missed in a row.

    A gap is over when it is found; its alert begins at this observation and ends at the next.
    """
    for gap in memory.gaps:
        kind, subject = _GAP_KINDS[gap.cause]
        minutes = int(length_of(gap) / timedelta(minutes=1))
        yield Signal(kind, subject, "critical", gap.started_at, gap.cause.value, evidence={"gap_minutes": minutes})
    for schedule, episode in sorted(memory.episodes.items()):
        if episode.is_over and episode.is_told:
            continue
        for cause, count in sorted(episode.causes.items()):
            evidence = {"last_missed_at": episode.last_at.isoformat()}
            yield Signal("missed_run", schedule, "critical", episode.first_at, cause.value, count, evidence)


def causes_in_words(causes: Mapping[Cause, int]) -> str:
    """Returns the causes of missed slots with their numbers, the most frequent first."""
    ordered = sorted(causes.items(), key=lambda cause_count: (-cause_count[1], cause_count[0]))
    return ", ".join(f"{count} as {CAUSE_WORDS[cause]}" for cause, count in ordered)


def episode_in_words(schedule: str, episode: Episode) -> str:
    """Says which slots of a schedule were missed and why."""
    since = episode.first_at.isoformat(timespec="minutes")
    runs = "scheduled run" if episode.missed_count == 1 else "scheduled runs"
    return f"{schedule}: {episode.missed_count} {runs} missed since {since}, {causes_in_words(episode.causes)}."
