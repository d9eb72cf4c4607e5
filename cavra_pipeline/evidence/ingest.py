"""Ingest: drops that are new or changed, through the boundary, into the warehouse. Reports are not made here.

Parsing and checking happen before the warehouse is opened for writing; each commit is one short transaction that
replaces whole drops, so the same files give the same tables in any order and any number of times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final

import pyarrow as pa

from cavra_pipeline.errors import PipelineError
from cavra_pipeline.evidence.landing import Drop, HandedOn, list_drops, load_sidecar
from cavra_pipeline.evidence.lines import LineBatch, LineReader
from cavra_pipeline.evidence.screen import LineFinding, QuarantinedLine, Screen, screening
from cavra_pipeline.settings import Settings
from cavra_pipeline.warehouse import Session, Warehouse
from cavra_pipeline.warehouse.schema import EVIDENCE_COLUMNS

_PACKAGE: Final = "cavra_pipeline.evidence"
_COMMIT_BYTES: Final = 256 * 1024 * 1024

_QUARANTINE_SCHEMA: Final = pa.schema([
    ("drop_day", pa.date32()), ("file_name", pa.string()), ("source_file", pa.string()), ("line_number", pa.int64()),
    ("sha256", pa.string()), ("reason", pa.string()), ("field", pa.string()),
])  # fmt: skip
_FINDINGS_SCHEMA: Final = pa.schema([
    ("drop_day", pa.date32()), ("file_name", pa.string()), ("source_file", pa.string()), ("line_number", pa.int64()),
    ("rule", pa.string()), ("path", pa.string()), ("action", pa.string()),
])  # fmt: skip
_DROPS_SCHEMA: Final = pa.schema([
    ("drop_day", pa.date32()), ("file_name", pa.string()), ("fingerprint", pa.string()), ("sha256", pa.string()),
    ("raw_bytes", pa.int64()), ("received_count", pa.int64()), ("quarantined_count", pa.int64()),
    ("unknown_kind_count", pa.int64()), ("dropped_field_count", pa.int64()), ("error", pa.string()),
    ("ingested_at", pa.timestamp("us")),
])  # fmt: skip


@dataclass(slots=True)
class ScreenedDrop:
    """A drop on the inner side of the boundary, ready to be committed."""

    drop: Drop
    rows: list[pa.Table] = field(default_factory=list)
    quarantined: list[tuple[str, QuarantinedLine]] = field(default_factory=list)
    findings: list[tuple[str, LineFinding]] = field(default_factory=list)
    raw_bytes: int = 0
    received_count: int = 0
    unknown_kind_count: int = 0
    dropped_field_count: int = 0
    sha256: str | None = None
    error: PipelineError | None = None


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
        touched_days: Days on which the records that came in, or went, were created.
        failures: Drops that could not be read; the others are in the warehouse.
    """

    drops: list[Drop] = field(default_factory=list)
    unchanged_count: int = 0
    received_count: int = 0
    quarantined_count: int = 0
    finding_count: int = 0
    unknown_kind_count: int = 0
    dropped_field_count: int = 0
    touched_days: set[date] = field(default_factory=set)
    failures: list[PipelineError] = field(default_factory=list)


def warehouse_of(settings: Settings) -> Warehouse:
    """Returns the home's warehouse with the limits of the settings."""
    return Warehouse(settings.warehouse, settings.busy_wait_seconds, settings.threads, settings.memory_limit)


def pending_drops(
    settings: Settings, warehouse: Warehouse, first: date | None = None, last: date | None = None
) -> tuple[list[Drop], int]:
    """Returns the drops that are new or changed since they were ingested, and how many are neither."""
    drops = list_drops(settings.landing, first, last)
    if not drops:
        return [], 0
    with warehouse.reading() as session:
        known = {
            (row["drop_day"], row["file_name"]): row["fingerprint"] for row in session.rows(_PACKAGE, "known_drops")
        }
    pending = [drop for drop in drops if known.get((drop.day, drop.file_name)) != drop.fingerprint]
    return pending, len(drops) - len(pending)


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
    """
    warehouse = warehouse_of(settings)
    result = IngestResult()
    if first or last:
        drops = list_drops(settings.landing, first, last)
    else:
        drops, result.unchanged_count = pending_drops(settings, warehouse)
        if days is not None:
            wanted = frozenset(days)
            drops = [drop for drop in drops if drop.day in wanted]
    with screening(settings.threads) as screen:
        for group in _groups(_screened(drops, screen, settings, tick)):
            with warehouse.writing("commit drops") as session:
                result.touched_days |= commit(session, group, now)
            for screened in group:
                _add(result, screened)
    return result


def _add(result: IngestResult, screened: ScreenedDrop) -> None:
    result.drops.append(screened.drop)
    result.received_count += screened.received_count
    result.quarantined_count += len(screened.quarantined)
    result.finding_count += len(screened.findings)
    result.unknown_kind_count += screened.unknown_kind_count
    result.dropped_field_count += screened.dropped_field_count
    if screened.error:
        result.failures.append(screened.error)


def _screened(
    drops: list[Drop], screen: Screen, settings: Settings, tick: Callable[[int], None]
) -> Iterator[ScreenedDrop]:
    for drop in drops:
        yield screen_drop(drop, screen, settings.batch_bytes, tick)


def _groups(screened: Iterator[ScreenedDrop]) -> Iterator[list[ScreenedDrop]]:
    group: list[ScreenedDrop] = []
    for drop in screened:
        group.append(drop)
        if sum(member.raw_bytes for member in group) >= _COMMIT_BYTES:
            yield group
            group = []
    if group:
        yield group


def screen_drop(
    drop: Drop, screen: Screen, batch_bytes: int, tick: Callable[[int], None] = lambda _: None
) -> ScreenedDrop:
    """Reads one drop through the boundary; a drop that can't be read to its end is taken as an error, whole."""
    screened = ScreenedDrop(drop)
    reader = LineReader(drop.path, name=drop.name, batch_bytes=batch_bytes, tick=tick)
    try:
        handed_on = load_sidecar(drop)
        for batch in reader:
            _take(screened, batch, screen)
    except PipelineError as error:
        return ScreenedDrop(drop, error=error)
    screened.sha256 = reader.sha256
    if handed_on:
        _hand_on(screened, handed_on)
    return screened


def _take(screened: ScreenedDrop, batch: LineBatch, screen: Screen) -> None:
    passed = screen.screen(batch.lines)
    rows = screen.typed(passed)
    name = screened.drop.file_name
    screened.rows.append(rows)
    screened.raw_bytes += batch.raw_bytes
    screened.received_count += batch.received_count
    screened.quarantined += [(name, line) for line in (*batch.quarantined, *passed.quarantined)]
    screened.findings += [(name, found) for found in passed.findings]
    screened.unknown_kind_count += rows["record_type"].null_count
    screened.dropped_field_count += pa.compute.sum(rows["dropped_field_count"]).as_py() or 0


def _hand_on(screened: ScreenedDrop, handed_on: HandedOn) -> None:
    screened.received_count += len(handed_on.quarantined)
    screened.dropped_field_count += handed_on.dropped_field_count
    screened.quarantined += [(handed_on.source_file, line) for line in handed_on.quarantined]
    screened.findings += [(handed_on.source_file, found) for found in handed_on.findings]


def _records_table(session: Session, group: list[ScreenedDrop]) -> pa.Table:
    parts: list[pa.Table] = []
    for one in group:
        for rows in one.rows:
            day, name = pa.scalar(one.drop.day, pa.date32()), pa.scalar(one.drop.file_name, pa.string())
            rows = rows.append_column("drop_day", pa.repeat(day, rows.num_rows))
            parts.append(rows.append_column("file_name", pa.repeat(name, rows.num_rows)))
    return pa.concat_tables(parts) if parts else session.arrow(_PACKAGE, "no_records")


def _quarantine_table(group: list[ScreenedDrop]) -> pa.Table:
    return _table(_QUARANTINE_SCHEMA, [
        (one.drop.day, one.drop.file_name, source, line.line_number, line.sha256, line.reason, line.field)
        for one in group
        for source, line in one.quarantined
    ])  # fmt: skip


def _findings_table(group: list[ScreenedDrop]) -> pa.Table:
    return _table(_FINDINGS_SCHEMA, [
        (one.drop.day, one.drop.file_name, source, found.line_number, found.rule, found.path, found.action)
        for one in group
        for source, found in one.findings
    ])  # fmt: skip


def _drops_table(group: list[ScreenedDrop], now: datetime) -> pa.Table:
    return _table(_DROPS_SCHEMA, [
        (one.drop.day, one.drop.file_name, "" if one.error else one.drop.fingerprint, one.sha256, one.raw_bytes,
         one.received_count, len(one.quarantined), one.unknown_kind_count, one.dropped_field_count,
         one.error.what if one.error else None, now.replace(tzinfo=None))
        for one in group
    ])  # fmt: skip


def _table(schema: pa.Schema, rows: list[tuple[object, ...]]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(schema)
    return pa.table(
        [pa.array(list(column), type_) for column, type_ in zip(columns, schema.types, strict=True)],
        schema=schema,
    )


def commit(session: Session, group: list[ScreenedDrop], now: datetime) -> set[date]:
    """Replaces the group's drops in the open transaction and settles which version of each record is current.

    A drop that can't be read keeps what an earlier, readable version of it brought.

    Returns:
        The UTC days on which the records were created that came in or went.
    """
    readable = [screened for screened in group if not screened.error]
    columns = ", ".join(name for name, _, _ in EVIDENCE_COLUMNS if name != "is_current")
    with session.given(
        given_drops=_drops_table(group, now),
        given_records=_records_table(session, readable),
        given_quarantine=_quarantine_table(readable),
        given_findings=_findings_table(readable),
    ):
        session.run(_PACKAGE, "mark_replaced_records")
        for table in ("evidence_records", "quarantine", "findings", "drops"):
            session.run(_PACKAGE, "delete_replaced", table=table)
        session.run(_PACKAGE, "mark_contested")
        session.run(_PACKAGE, "insert_records", columns=columns)
        session.run(_PACKAGE, "settle_versions")
        session.run(_PACKAGE, "mark_unreadable_drops")
        session.run(_PACKAGE, "insert_drops")
        for table in ("quarantine", "findings"):
            session.run(_PACKAGE, "insert_given", table=table)
        return {row["created_day"] for row in session.rows(_PACKAGE, "touched_days")}  # type: ignore[misc]
