"""How sources stand: when each was pulled, what the newest of it is, what is due, and what is wrong.

What is remembered of a pull is in the state database. Losing it costs one full walk, never a record: what came before
is known from the landing zone (docs/decisions/0023-import-by-record.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa

from cavra_pipeline.alerts.signals import Signal
from cavra_pipeline.evidence.drafts import RecordCounts
from cavra_pipeline.sources.config import Source, Sources
from cavra_pipeline.state import State
from cavra_pipeline.state.tables import source_pulls

#: A source that was not pulled for so many times its cadence is late.
PULLS_MISSED: Final = 3
#: How old the last walk over all pages may be, so that a later one may end at the first page of known records.
FULL_WALK_EVERY: Final = timedelta(days=1)
SILENT: Final = "source_silent"
UNREADABLE: Final = "source_unreadable"
#: The subject of an alert about the file itself.
WHOLE_FILE: Final = "sources.yaml"
_c: Final = source_pulls.c


@dataclass(frozen=True, slots=True)
class PullState:
    """What is remembered of the pulls of one source.

    Attributes:
        started_at: When the newest pull began.
        pulled_at: When the newest pull that succeeded ended.
        arrived_at: When a pull brought a new record the last time, or the first pull if none did.
        newest_record_at: The latest ``created_at`` that it ever brought.
        full_walk_at: When all of it was read the last time.
        failed_at: Since when pulls fail; None if the newest one succeeded.
        failure: What is wrong, without any content.
        new_count: New records of the newest pull that succeeded.
        known_count: Records of that pull that an earlier one had brought.
        quarantined_count: New records of that pull that were rejected.
    """

    started_at: datetime
    pulled_at: datetime | None = None
    arrived_at: datetime | None = None
    newest_record_at: datetime | None = None
    full_walk_at: datetime | None = None
    failed_at: datetime | None = None
    failure: str | None = None
    new_count: int | None = None
    known_count: int | None = None
    quarantined_count: int | None = None


def pull_states(state: State) -> dict[str, PullState]:
    """Returns what is remembered, by the name of the source."""
    with state.reading() as c:
        return {row["source"]: _pull_state(row) for row in c.execute(sa.select(source_pulls)).mappings()}


def _pull_state(row: Mapping[Any, Any]) -> PullState:
    return PullState(**{name: row[name] for name in PullState.__dataclass_fields__})


def note_start(state: State, source: str, now: datetime) -> PullState | None:
    """Notes that a pull begins, and returns what was remembered before."""
    with state.writing() as c:
        row = c.execute(sa.select(source_pulls).where(_c.source == source)).mappings().first()
        if row is None:
            c.execute(sa.insert(source_pulls).values(source=source, started_at=now))
        else:
            c.execute(sa.update(source_pulls).where(_c.source == source).values(started_at=now))
    return _pull_state(row) if row else None


def note_failure(state: State, source: str, what: str, now: datetime) -> None:
    """Notes that a pull failed, and since when pulls do."""
    failed_at = sa.func.coalesce(_c.failed_at, sa.bindparam("at", now, type_=_c.failed_at.type))
    with state.writing() as c:
        c.execute(sa.update(source_pulls).where(_c.source == source).values(failed_at=failed_at, failure=what))


def note_pull(state: State, source: str, *, counts: RecordCounts, is_full: bool, now: datetime) -> PullState:
    """Notes that a pull succeeded, and returns how the source stands.

    Args:
        state: The state database.
        source: The source's name.
        counts: The records of the pull.
        is_full: Whether all of the source was read.
        now: When the pull ended.
    """
    new_count = counts.imported_count + counts.quarantined_count
    with state.writing() as c:
        before = _pull_state(c.execute(sa.select(source_pulls).where(_c.source == source)).mappings().one())
        newest = max(filter(None, (before.newest_record_at, counts.newest_record_at)), default=None)
        values = {
            "pulled_at": now,
            "arrived_at": now if new_count or before.arrived_at is None else before.arrived_at,
            "newest_record_at": newest,
            "full_walk_at": now if is_full else before.full_walk_at,
            "failed_at": None,
            "failure": None,
            "new_count": counts.imported_count,
            "known_count": counts.known_count,
            "quarantined_count": counts.quarantined_count,
        }
        c.execute(sa.update(source_pulls).where(_c.source == source).values(values))
        after = c.execute(sa.select(source_pulls).where(_c.source == source)).mappings().one()
    return _pull_state(after)


def may_stop_early(before: PullState | None, now: datetime) -> bool:
    """Returns whether a walk may end at known records: the source was read as a whole not long ago."""
    full_walk_at = before.full_walk_at if before else None
    return full_walk_at is not None and now - full_walk_at < FULL_WALK_EVERY


def due_sources(sources: Sources, states: Mapping[str, PullState], now: datetime) -> list[Source]:
    """Returns the sources that are due at a tick: their cadence has passed since their last pull began.

    A pull begins a little after the tick that asks for it, so half a step between ticks is forgiven.
    """
    slack = timedelta(minutes=sources.step_minutes) / 2
    return [
        source
        for source in sources.usable
        if source.name not in states or now - states[source.name].started_at + slack >= source.every
    ]


def is_silent(source: Source, pulls: PullState, now: datetime) -> bool:
    """Returns whether a source brought no new record for longer than it may."""
    limit = source.silent_after * source.every
    return bool(limit) and pulls.arrived_at is not None and now - pulls.arrived_at > limit


def problems(sources: Sources, states: Mapping[str, PullState], watched_since: datetime, now: datetime) -> list[Signal]:
    """Returns what is wrong with the sources now.

    Args:
        sources: The sources.
        states: What is stored of their pulls, by source.
        watched_since: When a source that was never pulled could have been pulled first.
        now: The instant.
    """
    signals = [Signal(UNREADABLE, WHOLE_FILE, "critical", watched_since, "malformed")] if sources.faults else []
    for name, source in sources.by_name.items():
        if not isinstance(source, Source):
            signals.append(Signal(UNREADABLE, name, "critical", watched_since, "malformed"))
            continue
        signals += _problems_of(source, states.get(name), watched_since, now)
    return signals


def _problems_of(source: Source, pulls: PullState | None, watched_since: datetime, now: datetime) -> list[Signal]:
    evidence: dict[str, str | int] = {"source": source.name, "every_minutes": source.every_minutes}
    if pulls and pulls.failed_at:
        return [Signal(UNREADABLE, source.name, "critical", pulls.failed_at, "not_read", 1, evidence)]
    last = pulls.pulled_at if pulls and pulls.pulled_at else watched_since
    if now - last > PULLS_MISSED * source.every:
        return [Signal(SILENT, source.name, "warning", last, "not_pulled", 1, evidence)]
    if pulls and pulls.arrived_at and is_silent(source, pulls, now):
        return [Signal(SILENT, source.name, "warning", pulls.arrived_at, "no_new_record", 1, evidence)]
    return []
