"""Ingest: landing files that are new or changed, through the boundary, into the warehouse. Reports are not made here.

Parsing and checking happen before the warehouse is opened for writing; each commit is one short transaction that
replaces whole landing files (``load.py``, ``commit.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime

from cavra_pipeline.evidence.commit import fingerprints
from cavra_pipeline.evidence.keeper import HomeKeeper, warehouse_of
from cavra_pipeline.evidence.landing import Drop
from cavra_pipeline.evidence.landing_zone import landing_files
from cavra_pipeline.evidence.load import IngestResult, load
from cavra_pipeline.evidence.pseudonym_key import pseudonyms_of
from cavra_pipeline.evidence.validation import require_memory_for
from cavra_pipeline.limits import can_open_a_warehouse
from cavra_pipeline.retention.apply import finish_prunings
from cavra_pipeline.retention.horizon import closed_drops
from cavra_pipeline.settings import Settings
from cavra_pipeline.state import state_of
from cavra_pipeline.warehouse import Session
from cavra_pipeline.warehouse.schema import identity_of


def drops_to_ingest(session: Session, settings: Settings) -> list[Drop]:
    """Returns the landing files that are new or have changed since they were ingested; none that pruning closed.

    Raises:
        PipelineError: The landing zone can't be listed.
    """
    closed, ingested_files = closed_drops(session), fingerprints(session)
    changed = _changed(landing_files(settings, pseudonyms_of(settings)), ingested_files)
    return [drop for drop in changed if not closed.holds(drop.day, drop.file_name)]


def _changed(drops: Iterable[Drop], ingested_files: Mapping[tuple[date, str], str]) -> list[Drop]:
    return [drop for drop in drops if ingested_files.get((drop.day, drop.file_name)) != drop.fingerprint]


def _choose(settings: Settings, drops: list[Drop], result: IngestResult, *, again: bool) -> list[Drop]:
    """Returns the landing files to read: those that are new or changed, or all, but none that is closed.

    Where there are none to read, the state learns of commits whose process was killed before it could tell it.
    """
    warehouse = warehouse_of(settings)
    if not drops and not warehouse.exists():
        return []
    with warehouse.reading() as session:
        closed, identity = closed_drops(session), identity_of(session, where=warehouse.where)
        ingested_files = {} if again else fingerprints(session)
    pending = _changed(drops, ingested_files)
    result.unchanged_count = len(drops) - len(pending)
    result.closed_drops = [drop for drop in pending if closed.holds(drop.day, drop.file_name)]
    chosen = [drop for drop in pending if not closed.holds(drop.day, drop.file_name)]
    if not chosen and HomeKeeper(settings).is_ahead_of_state(identity):
        # Any commit tells the state of those before it, so one of nothing does.
        with warehouse.writing("tell the state of commits"):
            pass
    return chosen


def ingest(
    settings: Settings,
    *,
    now: datetime,
    first: date | None = None,
    last: date | None = None,
    days: Iterable[date] | None = None,
    tick: Callable[[int], None] = lambda _: None,
) -> IngestResult:
    """Brings landing files into the warehouse.

    Args:
        settings: The home and its limits.
        now: When the ingest runs; stored beside each landing file.
        first: First landing day; with ``first`` or ``last`` every landing file of the range is read again.
        last: Last landing day.
        days: Exactly these landing days instead, new or changed landing files only.
        tick: Called with bytes read, for progress.

    Returns:
        Counts, the days it touched and the landing files that could not be read.

    Raises:
        WarehouseBusy: The warehouse stayed busy too long; landing files committed before stay committed.
        OutOfMemory: A memory limit is too low; landing files committed before stay committed.
        PipelineError: A landing file could not be committed; the message names it, and those before it stay.
    """
    warehouse = warehouse_of(settings)
    result = IngestResult()
    again = bool(first or last)
    listed = landing_files(settings, pseudonyms_of(settings), first, last)
    if days is not None and not again:
        wanted = frozenset(days)
        listed = [drop for drop in listed if drop.day in wanted]
    if not can_open_a_warehouse() or (days is None and not warehouse.exists()):
        # Where all of it will be read, short of memory not even the warehouse could be made.
        require_memory_for(listed, settings)
    finish_prunings(warehouse, state_of(settings))
    drops = _choose(settings, listed, result, again=again)
    load(warehouse, drops, settings, result, now=now, tick=tick, again=again)
    return result
