"""What the watcher concludes from when it looked and what it saw: spells in which slots could not run.

A daemon that is down, or a code location that does not load, leaves no row in Dagster. What it does leave is a gap
in the watcher's own looks, since the watcher runs in the same daemon and from the same code location.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from cavra_pipeline.slots.verdicts import Cause, Spell

#: Looks further apart than this have a gap between them, at the usual 30 seconds between two: nobody was there to look.
LONGEST_PAUSE: Final = timedelta(minutes=5)
#: How many spells are remembered; more than enough for the slots that are still open.
MOST_SPELLS: Final = 50


@dataclass(frozen=True, slots=True)
class Look:
    """What one look of the watcher saw.

    Attributes:
        at: When it looked.
        daemon_id: Which daemon process was alive, by Dagster's id of it; None if none has ever been.
        stopped: Schedules that were found off.
        started: Since when each schedule that is on was switched on by hand, where Dagster knows.
    """

    at: datetime
    daemon_id: str | None
    stopped: frozenset[str] = frozenset()
    started: Mapping[str, datetime] = field(default_factory=dict)


def longest_pause(watch_seconds: float) -> timedelta:
    """Returns how far apart two looks may be: ten times what they should be, a minute at least."""
    return max(timedelta(minutes=1), 10 * timedelta(seconds=watch_seconds))


def spells_between(before: Look | None, after: Look, pause: timedelta = LONGEST_PAUSE) -> list[Spell]:
    """Returns what kept slots from running between two looks in a row.

    Args:
        before: The look before, or None at the first look.
        after: The look now.
        pause: How far apart two looks may be.
    """
    if before is None:
        return [Spell(Cause.SCHEDULE_STOPPED, after.at, None, name) for name in sorted(after.stopped)]
    spells: list[Spell] = []
    if after.at - before.at > pause:
        # The same daemon still beats: it was there all along, and what it could not do is load the code.
        is_same = before.daemon_id is not None and before.daemon_id == after.daemon_id
        cause = Cause.CODE_LOCATION_NOT_LOADABLE if is_same else Cause.DAEMON_DOWN
        spells.append(Spell(cause, before.at, after.at))
    for name in sorted(before.stopped | after.stopped):
        ended_at = None if name in after.stopped else min(after.started.get(name, after.at), after.at)
        spells.append(Spell(Cause.SCHEDULE_STOPPED, before.at, ended_at, name))
    return spells


def remembered(spells: Sequence[Spell], new: Iterable[Spell]) -> list[Spell]:
    """Adds new spells to those that are known; one that goes on where an open one was is the same spell."""
    known = list(spells)
    for spell in new:
        same = [
            number
            for number, one in enumerate(known)
            if one.ended_at is None and (one.cause, one.schedule) == (spell.cause, spell.schedule)
        ]
        if same:
            known[same[0]] = replace(known[same[0]], ended_at=spell.ended_at)
        else:
            known.append(spell)
    return known[-MOST_SPELLS:]
