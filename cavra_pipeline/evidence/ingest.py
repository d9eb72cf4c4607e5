"""Ingest: drops that are new or changed, through the boundary, into the warehouse. Reports are not made here.

Parsing and checking happen before the warehouse is opened for writing; each commit is one short transaction that
replaces whole drops, so the same files give the same tables in any order and any number of times. Why it is cut into
parcels, groups and a stage: docs/decisions/0005-ingest-speed.md.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import cache
from queue import SimpleQueue
from threading import Thread
from typing import Final, TypeVar

import numpy as np
import pyarrow as pa

from cavra_pipeline.boundary.pseudonyms import Pseudonyms
from cavra_pipeline.errors import OutOfMemory, PipelineError, TransientError
from cavra_pipeline.evidence.changes import write_change
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.evidence.landing import Drop, HandedOn, list_drops, load_sidecar, name_findings, shown_name
from cavra_pipeline.evidence.lines import READ_BYTES, LineReader
from cavra_pipeline.evidence.pseudonym_key import pseudonyms_of
from cavra_pipeline.evidence.screen import LINES, NO_LINES, LineFinding, QuarantinedLine, Screen, Screened
from cavra_pipeline.evidence.stage import ROWS_IN_A_GROUP, Stage
from cavra_pipeline.evidence.typed import column_of, numbers_of
from cavra_pipeline.garbage import collected_seldom
from cavra_pipeline.limits import require_memory
from cavra_pipeline.retention.apply import finish_prunings
from cavra_pipeline.retention.horizon import Closed, closed_drops
from cavra_pipeline.settings import Settings
from cavra_pipeline.state import state_of
from cavra_pipeline.warehouse import Rows, Session, Warehouse
from cavra_pipeline.warehouse.schema import EVIDENCE_COLUMNS

_Result = TypeVar("_Result")

_PACKAGE: Final = "cavra_pipeline.evidence"
_COMMIT_BYTES: Final = 512 * 1024 * 1024
#: So much is screened before another screen would be ready.
_SMALL_BYTES: Final = 4 * 1024 * 1024
#: Typed rows take about three quarters of their lines, so what is held in memory stays near ten batches.
_STAGE_BATCHES: Final = 10

#: A line's number while it travels with other drops: the drop's number in its group above, its own below.
_LINE_BITS: Final = 40
_LINE_MASK: Final = (1 << _LINE_BITS) - 1

_QUARANTINE: Final = {
    "drop_day": "DATE", "file_name": "VARCHAR", "source_file": "VARCHAR", "line_number": "BIGINT",
    "sha256": "VARCHAR", "reason": "VARCHAR", "field": "VARCHAR",
}  # fmt: skip
_FINDINGS: Final = {
    "drop_day": "DATE", "file_name": "VARCHAR", "source_file": "VARCHAR", "line_number": "BIGINT",
    "rule": "VARCHAR", "path": "VARCHAR", "action": "VARCHAR", "sha256": "VARCHAR",
}  # fmt: skip
_DROPS: Final = {
    "number": "BIGINT", "drop_day": "DATE", "file_name": "VARCHAR", "fingerprint": "VARCHAR", "sha256": "VARCHAR",
    "raw_bytes": "BIGINT", "received_count": "BIGINT", "quarantined_count": "BIGINT", "unknown_kind_count": "BIGINT",
    "dropped_field_count": "BIGINT", "error": "VARCHAR", "ingested_at": "TIMESTAMP",
}  # fmt: skip


@dataclass(slots=True)
class ScreenedDrop:
    """What the boundary made of a drop, its rows aside."""

    drop: Drop
    quarantined: list[tuple[str, QuarantinedLine]] = field(default_factory=list)
    findings: list[tuple[str, LineFinding]] = field(default_factory=list)
    raw_bytes: int = 0
    received_count: int = 0
    unknown_kind_count: int = 0
    dropped_field_count: int = 0
    past_retention_count: int = 0
    sha256: str | None = None
    notes: list[str] = field(default_factory=list)
    error: PipelineError | None = None


@dataclass(slots=True)
class Group:
    """Drops that are committed together, and their rows."""

    stage: Stage
    drops: list[ScreenedDrop] = field(default_factory=list)

    @property
    def raw_bytes(self) -> int:
        """Bytes read of its drops so far, uncompressed."""
        return sum(screened.raw_bytes for screened in self.drops)


@dataclass(slots=True)
class _Parcel:
    """Lines that go through the boundary at once: a part of a big drop, or many small drops of a group."""

    group: Group
    lines: list[pa.Table] = field(default_factory=list)
    row_count: int = 0
    raw_bytes: int = 0
    ends_group: bool = False

    def take(self, lines: pa.Table) -> pa.Table:
        """Takes as many lines as fill a row group, and returns the others."""
        taken = lines.slice(0, ROWS_IN_A_GROUP - self.row_count)
        self.lines.append(taken)
        self.row_count += len(taken)
        self.raw_bytes += taken.nbytes
        return lines.slice(len(taken))

    def hand_over(self) -> pa.Table:
        """Returns its lines and lets go of them, for the memory behind them is soon wanted again."""
        lines = pa.concat_tables([NO_LINES, *self.lines])
        self.lines = []
        return lines


@dataclass(slots=True)
class IngestResult:
    """What an ingest did.

    Attributes:
        drops: Drops it read, in order.
        unchanged_count: Drops it left alone because they had not changed.
        received_count: Lines that were not blank.
        quarantined_count: Lines of which nothing was kept.
        finding_count: Findings recorded.
        unknown_kind_count: Records of kinds the contract does not know, kept with their envelope only.
        dropped_field_count: Fields left out.
        past_retention_count: Records left out because evidence of their time has been pruned.
        closed_drops: Drops left alone because evidence of their day, or what they held, has been pruned; of unchanged
            ones only those that were to be read again.
        touched_days: Days on which the records that came in, or went, were created.
        failures: Drops that could not be read; the others are in the warehouse.
        notes: What was left out of a drop that is no line.
    """

    drops: list[Drop] = field(default_factory=list)
    unchanged_count: int = 0
    received_count: int = 0
    quarantined_count: int = 0
    finding_count: int = 0
    unknown_kind_count: int = 0
    dropped_field_count: int = 0
    past_retention_count: int = 0
    closed_drops: list[Drop] = field(default_factory=list)
    touched_days: set[date] = field(default_factory=set)
    failures: list[PipelineError] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def _choose(
    warehouse: Warehouse, drops: list[Drop], result: IngestResult, pseudonyms: Pseudonyms, *, again: bool
) -> list[Drop]:
    """Returns the drops to read: those that are new or changed, or all, but none that is closed."""
    if not drops:
        return []
    with warehouse.reading() as session:
        closed = closed_drops(session)
        known = (
            {}
            if again
            else {
                (row["drop_day"], row["file_name"]): row["fingerprint"] for row in session.rows(_PACKAGE, "known_drops")
            }
        )
    unsafe = sorted({str(name) for _, name in known if shown_name(str(name), pseudonyms) != name})
    if unsafe:
        _rename(warehouse, {name: shown_name(name, pseudonyms) for name in unsafe})
        known = {key: fingerprint for key, fingerprint in known.items() if key[1] not in unsafe}
    pending = [drop for drop in drops if known.get((drop.day, drop.file_name)) != drop.fingerprint]
    result.unchanged_count = len(drops) - len(pending)
    result.closed_drops = [drop for drop in pending if closed.holds(drop.day, drop.file_name)]
    return [drop for drop in pending if not closed.holds(drop.day, drop.file_name)]


def _rename(warehouse: Warehouse, names: Mapping[str, str]) -> None:
    """Gives landing files that an earlier release stored under any name their ``shown_name``, to be read again."""
    with warehouse.writing("rename landing files") as session:
        for name, shown in names.items():
            called: dict[str, object] = {"name": name, "shown": shown}
            for table in ("evidence_records", "quarantine", "findings", "drops", "pruned_drops"):
                session.run(_PACKAGE, "rename_file", called, table=table)
            for table in ("quarantine", "findings"):
                session.run(_PACKAGE, "rename_source", called, table=table)
            session.run(_PACKAGE, "read_again", {"shown": called["shown"]})


def ingest(
    settings: Settings,
    *,
    now: datetime,
    first: date | None = None,
    last: date | None = None,
    days: Iterable[date] | None = None,
    tick: Callable[[int], None] = lambda _: None,
) -> IngestResult:
    """Brings drops into the warehouse.

    Args:
        settings: The home and its limits.
        now: When the ingest runs; kept beside each drop.
        first: First drop day; with ``first`` or ``last`` every drop of the range is read again.
        last: Last drop day.
        days: Exactly these drop days instead, new or changed drops only.
        tick: Called with bytes read, for progress.

    Returns:
        Counts, the days it touched and the drops that could not be read.

    Raises:
        WarehouseBusy: The warehouse stayed busy too long; drops committed before stay committed.
        OutOfMemory: A memory limit is too low; drops committed before stay committed.
        PipelineError: A drop could not be committed; the message names it, and the drops before it are kept.
    """
    warehouse = warehouse_of(settings)
    result = IngestResult()
    again = bool(first or last)
    pseudonyms = pseudonyms_of(settings)
    listed = list_drops(settings.landing, pseudonyms, first, last)
    if days is None and not settings.warehouse.exists() and not _are_small(listed):
        require_memory(_thread_count(settings), where=str(settings.landing))
        # All of it will be read: what reads blocks loads while the tables are made.
        Thread(target=Screen(pseudonyms).prepare, name="prepare").start()
    finish_prunings(warehouse, state_of(settings))
    drops = _choose(warehouse, listed, result, pseudonyms, again=again)
    if days is not None and not again:
        wanted = frozenset(days)
        drops = [drop for drop in drops if drop.day in wanted]
        result.closed_drops = [drop for drop in result.closed_drops if drop.day in wanted]
    _bring(warehouse, drops, settings, result, now=now, tick=tick)
    return result


def ingest_again(
    settings: Settings, fresh: Warehouse, files: Collection[tuple[date, str]], *, now: datetime
) -> set[tuple[date, str]]:
    """Brings landing files that were ingested before into a warehouse that is being made again.

    Args:
        settings: The home and its limits.
        fresh: The warehouse.
        files: Drop day and file name of each.
        now: When that is; stored beside each file.

    Returns:
        Those that can't be read.
    """
    drops = [one for one in list_drops(settings.landing, pseudonyms_of(settings)) if (one.day, one.file_name) in files]
    result = IngestResult()
    _bring(fresh, drops, settings, result, now=now, tick=lambda _: None)
    with fresh.reading() as session:
        return {(row["drop_day"], row["file_name"]) for row in session.rows(_PACKAGE, "unreadable_drops")}  # type: ignore[misc]


def _bring(
    warehouse: Warehouse,
    drops: list[Drop],
    settings: Settings,
    result: IngestResult,
    *,
    now: datetime,
    tick: Callable[[int], None],
) -> None:
    """Reads drops and commits them, adding to the result."""
    if not drops:
        return
    try:
        with collected_seldom(), _screening_pool(drops, settings) as pool:
            for group in _screened(_parcels(drops, settings, tick), pool):
                for whole in _kept(warehouse, group, settings, now, result.touched_days):
                    for screened in whole.drops:
                        _add(result, screened)
    except MemoryError:
        raise OutOfMemory(str(settings.landing)) from None


def _kept(
    warehouse: Warehouse, group: Group, settings: Settings, now: datetime, touched_days: set[date]
) -> Iterator[Group]:
    """Commits a group; if that fails, each of its drops on its own, so that those before the failing one are kept."""
    try:
        with group.stage, warehouse.writing("commit drops") as session:
            touched_days |= commit(session, group, now)
        yield group
        return
    except Exception as error:
        if isinstance(error, PipelineError) and not isinstance(error, OutOfMemory):
            # The file is busy, or there is no room: no fault of one drop.
            raise
        if len(group.drops) == 1:
            raise _stopped(group.drops[0].drop, error) from error
    for one in group.drops:
        yield from _kept(warehouse, screen_drop(one.drop, settings), settings, now, touched_days)


def _stopped(drop: Drop, error: Exception) -> PipelineError:
    if isinstance(error, OutOfMemory | MemoryError):
        return OutOfMemory(drop.name, "there is not enough memory to commit this drop; the drops before it are kept")
    return PipelineError(
        f"this drop could not be committed: {type(error).__name__}",
        where=drop.name,
        remedy="The drops before it are kept; ingest again for the rest",
    )


def _add(result: IngestResult, screened: ScreenedDrop) -> None:
    result.drops.append(screened.drop)
    result.received_count += screened.received_count
    result.quarantined_count += len(screened.quarantined)
    result.finding_count += len(screened.findings)
    result.unknown_kind_count += screened.unknown_kind_count
    result.dropped_field_count += screened.dropped_field_count
    result.past_retention_count += screened.past_retention_count
    result.notes += screened.notes
    if screened.error:
        result.failures.append(screened.error)


def _parcels(drops: list[Drop], settings: Settings, tick: Callable[[int], None]) -> Iterator[_Parcel]:
    """Reads the drops in order. No parcel holds lines of two groups."""
    parcel = _Parcel(_group(settings))
    for drop in drops:
        group = parcel.group
        screened = ScreenedDrop(drop)
        group.drops.append(screened)
        for lines in _read(screened, len(group.drops) - 1, tick):
            while len(lines):
                lines = parcel.take(lines)
                if parcel.row_count == ROWS_IN_A_GROUP or parcel.raw_bytes >= settings.batch_bytes:
                    yield parcel
                    parcel = _Parcel(group)
        if group.raw_bytes >= _COMMIT_BYTES or drop is drops[-1]:
            parcel.ends_group = True
            yield parcel
            parcel = _Parcel(_group(settings))


def _group(settings: Settings) -> Group:
    return Group(Stage(settings.home, _STAGE_BATCHES * settings.batch_bytes))


def _read(screened: ScreenedDrop, number: int, tick: Callable[[int], None]) -> Iterator[pa.Table]:
    """Reads one drop; one that can't be read to its end is taken as an error, whole."""
    drop = screened.drop
    reader = LineReader(drop.path, name=drop.name, batch_bytes=READ_BYTES, tick=tick)
    try:
        handed_on = load_sidecar(drop)
        for batch in reader:
            screened.raw_bytes += batch.raw_bytes
            screened.received_count += batch.received_count
            screened.quarantined += [(drop.file_name, line) for line in batch.quarantined]
            numbers = column_of(numbers_of(batch.lines["line_number"]) + (number << _LINE_BITS))
            yield batch.lines.set_column(0, LINES.field("line_number"), numbers)
    except PipelineError as error:
        screened.error = error
        return
    screened.sha256, screened.notes = reader.sha256, reader.notes
    screened.findings += [(drop.file_name, found) for found in name_findings(drop)]
    if handed_on:
        _hand_on(screened, handed_on)


class _ScreeningPool:
    """Screens that work side by side, each with a thread of its own."""

    def __init__(self, size: int, pseudonyms: Pseudonyms) -> None:
        self.size = size
        self._threads = ThreadPoolExecutor(size, thread_name_prefix="screen")
        self._screens: SimpleQueue[Screen] = SimpleQueue()
        for _ in range(size):
            self._screens.put(Screen(pseudonyms))

    def prepare(self) -> None:
        """Has the screens made ready while the first lines are read."""
        for _ in range(self.size):
            self._threads.submit(self._with_screen, Screen.prepare)

    def close(self) -> None:
        self._threads.shutdown(cancel_futures=True)

    def submit(self, parcel: _Parcel) -> Future[Screened]:
        return self._threads.submit(self._with_screen, lambda screen: screen.screen(parcel.hand_over()))

    def _with_screen(self, work: Callable[[Screen], _Result]) -> _Result:
        screen = self._screens.get()
        try:
            return work(screen)
        finally:
            self._screens.put(screen)


@cache
def _small_pool(process_id: int, pseudonyms: Pseudonyms) -> _ScreeningPool:  # noqa: ARG001 -- a fork needs its own
    """The screen that the small drops of a process share; making one costs more than they do."""
    return _ScreeningPool(1, pseudonyms)


def _are_small(drops: Sequence[Drop]) -> bool:
    return sum(drop.size_bytes for drop in drops) <= _SMALL_BYTES


def _thread_count(settings: Settings) -> int:
    return settings.threads or os.cpu_count() or 1


@contextmanager
def _screening_pool(drops: Sequence[Drop], settings: Settings) -> Iterator[_ScreeningPool]:
    pseudonyms = pseudonyms_of(settings)
    if _are_small(drops):
        yield _small_pool(os.getpid(), pseudonyms)
        return
    require_memory(_thread_count(settings), where=str(settings.landing))
    pool = _ScreeningPool(_thread_count(settings), pseudonyms)
    pool.prepare()
    try:
        yield pool
    finally:
        pool.close()


def _screened(parcels: Iterator[_Parcel], pool: _ScreeningPool) -> Iterator[Group]:
    """Sends parcels through the boundary, as many at once as there are screens; yields each group when it is whole."""
    waiting: deque[tuple[_Parcel, Future[Screened]]] = deque()

    def first() -> Iterator[Group]:
        parcel, future = waiting.popleft()
        _unpack(parcel.group, future.result())
        if parcel.ends_group:
            yield parcel.group

    for parcel in parcels:
        waiting.append((parcel, pool.submit(parcel)))
        if len(waiting) > pool.size:
            yield from first()
    while waiting:
        yield from first()


def _unpack(group: Group, screened: Screened) -> None:
    rows = screened.rows
    group.stage.add(rows)
    for line in screened.quarantined:
        drop, line_number = _origin(group, line.line_number)
        drop.quarantined.append((drop.drop.file_name, replace(line, line_number=line_number)))
    for found in screened.findings:
        drop, line_number = _origin(group, found.line_number)
        drop.findings.append((drop.drop.file_name, replace(found, line_number=line_number)))
    numbers = numbers_of(rows["line_number"]) >> _LINE_BITS
    of_unknown = numbers_of(rows["line_number"].filter(rows["record_type"].is_null())) >> _LINE_BITS
    unknown = np.bincount(of_unknown, minlength=len(group.drops))
    dropped = np.bincount(numbers, weights=numbers_of(rows["dropped_field_count"]), minlength=len(group.drops))
    for number in np.unique(numbers):
        group.drops[number].unknown_kind_count += int(unknown[number])
        group.drops[number].dropped_field_count += int(dropped[number])


def _origin(group: Group, line_number: int) -> tuple[ScreenedDrop, int]:
    return group.drops[line_number >> _LINE_BITS], line_number & _LINE_MASK


def _hand_on(screened: ScreenedDrop, handed_on: HandedOn) -> None:
    screened.received_count += len(handed_on.quarantined)
    screened.dropped_field_count += handed_on.dropped_field_count
    screened.quarantined += [(handed_on.source_file, line) for line in handed_on.quarantined]
    screened.findings += [(handed_on.source_file, found) for found in handed_on.findings]


def _quarantine_rows(group: list[ScreenedDrop]) -> Rows:
    return Rows(_QUARANTINE, [
        (one.drop.day, one.drop.file_name, source, line.line_number, line.sha256, line.reason, line.field)
        for one in group
        for source, line in one.quarantined
    ])  # fmt: skip


def _findings_rows(group: list[ScreenedDrop]) -> Rows:
    return Rows(_FINDINGS, [
        (one.drop.day, one.drop.file_name, source, found.line_number, found.rule, found.path, found.action,
         found.sha256)
        for one in group
        for source, found in one.findings
    ])  # fmt: skip


def _drops_rows(group: list[ScreenedDrop], now: datetime) -> Rows:
    at = now.replace(tzinfo=None)
    return Rows(_DROPS, [
        (number, one.drop.day, one.drop.file_name, one.drop.fingerprint, one.sha256, one.raw_bytes,
         one.received_count, len(one.quarantined), one.unknown_kind_count, one.dropped_field_count, None, at)
        if one.error is None else
        (number, one.drop.day, one.drop.file_name, "", None, 0, 0, 0, 0, 0, one.error.what, at)
        for number, one in enumerate(group)
    ])  # fmt: skip


def commit(session: Session, group: Group, now: datetime) -> set[date]:
    """Replaces the group's drops in the open transaction and settles which version of each record is current.

    A drop that can't be read keeps what an earlier, readable version of it brought. Records created before the
    retention horizon are left out.

    Returns:
        The UTC days on which the records were created that came in or went.

    Raises:
        TransientError: A drop was closed by a pruning since it was chosen.
    """
    closed = closed_drops(session)
    _check_open(closed, group)
    readable = [screened for screened in group.drops if not screened.error]
    with session.given(
        given_drops=_drops_rows(group.drops, now),
        given_quarantine=_quarantine_rows(readable),
        given_findings=_findings_rows(readable),
    ):
        session.run(_PACKAGE, "mark_replaced_records")
        for table in ("evidence_records", "quarantine", "findings", "drops", "pruned_drops"):
            session.run(_PACKAGE, "delete_replaced", table=table)
        came = _insert_records(session, group)
        _leave_out_past_retention(session, group, closed.horizon)
        (most,) = session.rows(_PACKAGE, "most_came", {"came": came})
        session.run(_PACKAGE, "mark_all_contested" if most["most_came"] else "mark_contested")
        session.run(_PACKAGE, "settle_versions")
        write_change(session)
        _watch(session)
        session.run(_PACKAGE, "mark_unreadable_drops")
        session.run(_PACKAGE, "insert_drops")
        for table in ("quarantine", "findings"):
            session.run(_PACKAGE, "insert_given", table=table)
        return {row["created_day"] for row in session.rows(_PACKAGE, "touched_days")}  # type: ignore[misc]


def _check_open(closed: Closed, group: Group) -> None:
    for screened in group.drops:
        if closed.holds(screened.drop.day, screened.drop.file_name):
            raise TransientError(
                "evidence of this drop has been pruned while it was read",
                where=screened.drop.name,
                remedy="Ingest again; what stands of it stays as it is",
            )


def _leave_out_past_retention(session: Session, group: Group, horizon: datetime | None) -> None:
    if horizon is None:
        return
    at: dict[str, object] = {"horizon": horizon}
    rows = session.rows(_PACKAGE, "count_past_retention", at)
    if rows:
        counted = {(row["drop_day"], row["file_name"]): int(str(row["record_count"])) for row in rows}
        for screened in group.drops:
            screened.past_retention_count = counted.get((screened.drop.day, screened.drop.file_name), 0)
        session.run(_PACKAGE, "note_past_retention", at)
        session.run(_PACKAGE, "delete_past_retention", at)


def _watch(session: Session) -> None:
    """Keeps ``watched_records``: of a subject that is in it every current record is, and every failing one is in it."""
    session.run(_PACKAGE, "unwatch_contested")
    session.run(_PACKAGE, "mark_came")
    session.run(_PACKAGE, "mark_newly_failing")
    session.run(_PACKAGE, "watch_came")
    session.run(_PACKAGE, "watch_newly_failing")


def _insert_records(session: Session, group: Group) -> int:
    """Inserts the rows, those of unreadable drops aside, and returns how many they are."""
    rows = group.stage.rows()
    if rows is None:
        return 0
    made_here = ("drop_day", "file_name", "line_number", "is_current")
    columns = ", ".join(name for name, _, _ in EVIDENCE_COLUMNS if name not in made_here)
    bits, mask = str(_LINE_BITS), str(_LINE_MASK)
    # Lists by the number of the drop: a join with a table of them takes longer.
    drops: dict[str, object] = {
        "drop_days": [one.drop.day for one in group.drops],
        "file_names": [None if one.error else one.drop.file_name for one in group.drops],
    }
    with session.given(given_records=rows):
        (inserted,) = session.rows(_PACKAGE, "insert_records", drops, columns=columns, line_bits=bits, line_mask=mask)
    return int(str(inserted["Count"]))


def screen_drop(drop: Drop, settings: Settings) -> Group:
    """Takes one drop through the boundary, ready to be committed inside ``with group.stage``."""
    with _screening_pool([drop], settings) as pool:
        (group,) = _screened(_parcels([drop], settings, lambda _: None), pool)
    return group
