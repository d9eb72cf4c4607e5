"""Observations of the watcher, and what kept slots from running between two of them in a row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from cavra_pipeline.slots.verdicts import Cause, Interval

#: Observations further apart than this have a gap between them, at the usual 30 seconds between two.
LONGEST_PAUSE: Final = timedelta(minutes=5)
#: Observations are no further apart while nothing is in the way, at 30 seconds between two.
USUAL_PAUSE: Final = timedelta(seconds=75)
#: How many intervals are remembered; more than enough for the slots that are still open.
MOST_INTERVALS: Final = 50


@dataclass(frozen=True, slots=True)
class WatcherObservation:
    """One observation of the watcher.

    Attributes:
        at: When it looked.
        daemon_id: Which daemon process was alive, by Dagster's id of it; None if none has ever been.
        stopped: Schedules that were found off.
        started: Since when each schedule that is on was switched on by hand, where Dagster knows.
        daemon_before_until: The last sign of life of the daemon before this one, where the instance keeps it.
        has_load_error: Whether a tick since the previous observation failed because the code location did not load.
    """

    at: datetime
    daemon_id: str | None
    stopped: frozenset[str] = frozenset()
    started: Mapping[str, datetime] = field(default_factory=dict)
    daemon_before_until: datetime | None = None
    has_load_error: bool = False


def longest_pause(watch_seconds: float) -> timedelta:
    """Returns how far apart two observations may be: ten times what they should be, a minute at least."""
    return max(timedelta(minutes=1), 10 * timedelta(seconds=watch_seconds))


def usual_pause(watch_seconds: float) -> timedelta:
    """Returns how far apart two observations are while nothing is in the way; 75 seconds at least."""
    return max(USUAL_PAUSE, 2.5 * timedelta(seconds=watch_seconds))


def intervals_between(
    before: WatcherObservation | None,
    after: WatcherObservation,
    pause: timedelta = LONGEST_PAUSE,
    usual: timedelta = USUAL_PAUSE,
) -> list[Interval]:
    """Returns what kept slots from running between two observations in a row.

    If the daemon's id has changed, the previous daemon was gone, however short the gap is.

    Args:
        before: The previous observation, or None at the first.
        after: The present observation.
        pause: How far apart two observations may be; in a longer gap the watcher did not run.
        usual: How far apart they are while nothing is in the way.
    """
    if before is None:
        return [Interval(Cause.SCHEDULE_STOPPED, after.at, None, name) for name in sorted(after.stopped)]
    intervals: list[Interval] = []
    is_known = before.daemon_id is not None and after.daemon_id is not None
    is_same = is_known and before.daemon_id == after.daemon_id
    gap = after.at - before.at
    if gap > pause or (is_known and not is_same) or (gap > usual and after.has_load_error):
        # A daemon that ran all along could not load the code; nor could one that outlived the previous observation.
        alive_until = after.at if is_same else max(after.daemon_before_until or before.at, before.at)
        if alive_until - before.at > usual:
            intervals.append(Interval(Cause.CODE_LOCATION_NOT_LOADABLE, before.at, alive_until))
        if not is_same:
            started_at = alive_until if intervals else before.at
            intervals.append(Interval(Cause.DAEMON_DOWN, started_at, after.at))
    for name in sorted(before.stopped | after.stopped):
        ended_at = None if name in after.stopped else min(after.started.get(name, after.at), after.at)
        intervals.append(Interval(Cause.SCHEDULE_STOPPED, before.at, ended_at, name))
    return intervals


def length_of(interval: Interval) -> timedelta:
    """Returns how long an interval has lasted; zero while it goes on."""
    return (interval.ended_at or interval.started_at) - interval.started_at


def remembered(intervals: Sequence[Interval], new: Iterable[Interval]) -> list[Interval]:
    """Adds new intervals to earlier ones; one that continues an open interval extends it."""
    merged = list(intervals)
    for interval in new:
        same = [
            number
            for number, earlier in enumerate(merged)
            if earlier.ended_at is None and (earlier.cause, earlier.schedule) == (interval.cause, interval.schedule)
        ]
        if same:
            merged[same[0]] = replace(merged[same[0]], ended_at=interval.ended_at)
        else:
            merged.append(interval)
    # One that goes on is never forgotten, however many have ended since.
    ended = [interval for interval in merged if interval.ended_at is not None][-MOST_INTERVALS:]
    return [interval for interval in merged if interval.ended_at is None or interval in ended]
