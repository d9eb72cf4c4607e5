"""The commit log and segments, in the state database: an entry for what the state learns at once (docs/proof.md)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from hashlib import sha256
from itertools import groupby
from typing import Any, Final

import sqlalchemy as sa

from cavra_pipeline.documents import canonical_bytes, canonical_json
from cavra_pipeline.errors import PipelineError
from cavra_pipeline.proof.checkpoint import Checkpoint, origin_of
from cavra_pipeline.proof.merkle import Peaks, leaf_hash, root_of
from cavra_pipeline.proof.segments import PACKAGE, Segment, segments_root
from cavra_pipeline.state.tables import log_entries, pruned_drops, prunings
from cavra_pipeline.state.tables import segments as segments_table
from cavra_pipeline.warehouse import Session

_VERSION: Final = 1
_log: Final = log_entries.c
_segments: Final = segments_table.c
#: The newest entry; what it stores of its tree may not be JSON any more.
_NEWEST: Final = (
    sa.select(_log.entry_number, sa.type_coerce(_log.peaks, sa.Text).label("peaks"), _log.pruning_number)
    .order_by(_log.entry_number.desc())
    .limit(1)
)
#: The beginning of every entry with a map: canonical JSON has its members in order.
_MAP_ENTRIES: Final = '{"act":"map","at":%'
_FILE_COUNTS: Final = ("received_count", "quarantined_count")
_PRUNED_COUNTS: Final = ("record_count", "quarantined_count", "finding_count", "closed_drop_count")
_PRUNED_OF_FILE: Final = ("file_name", "record_count", "quarantined_count", "finding_count", "remaining_lines")


class Act(StrEnum):
    """Why an entry was made."""

    INGEST = "ingest"
    PRUNE = "prune"
    REBUILD = "rebuild"
    MAP = "map"


@dataclass(frozen=True, slots=True)
class Learned:
    """What the state learns of a warehouse.

    Attributes:
        files: Landing files that were read: landing day, name, SHA-256 (None: gone), counts.
        quarantine_roots: Root of the rejected lines of each file that has any, by day and name.
        segments: Segments that changed, as they are now.
        prunings: Numbers of the prunings that are applied.
    """

    files: Sequence[Mapping[str, Any]] = ()
    quarantine_roots: Mapping[tuple[date, str], str] = field(default_factory=dict)
    segments: Sequence[Segment] = ()
    prunings: frozenset[int] = frozenset()


def quarantine_roots(session: Session, commit_number: int) -> dict[tuple[date, str], str]:
    """Returns the root over the rejected lines of each landing file that commits after a given one have read."""
    rows = session.stream(PACKAGE, "quarantine_of_commits", {"after": commit_number})
    return {
        (day, name): root_of([leaf_hash(_rejected_line(row)) for row in lines]).hex()
        for (day, name), lines in groupby(rows, key=lambda row: (row["drop_day"], row["file_name"]))
    }


def _rejected_line(row: Mapping[str, Any]) -> bytes:
    return canonical_bytes({name: row[name] for name in ("source_file", "line_number", "sha256", "reason", "field")})


def stored_segments(connection: sa.Connection) -> dict[tuple[str, date], Segment]:
    """Returns every segment of the state, by lane and day."""
    rows = connection.execute(sa.select(_segments.lane, _segments.segment_day, _segments.record_count, _segments.root))
    return {(lane, day): Segment(lane, day, size, root) for lane, day, size, root in rows}


def append_entry(connection: sa.Connection, act: Act, learned: Learned, *, at: datetime) -> bool:
    """Appends an entry in the open transaction of the state and stores the segments; does nothing if nothing is new.

    Args:
        connection: Open for writing.
        act: Why.
        learned: What is new; segments that are as the state has them are not.
        at: By the database's clock.

    Returns:
        Whether there is an entry.
    """
    peaks, known_pruning = _newest(connection)
    before = stored_segments(connection)
    changed = [segment for segment in learned.segments if before.get(segment.key, _nothing(segment)) != segment]
    applied = sorted(number for number in learned.prunings if number > known_pruning)
    if not (learned.files or changed or applied):
        return False
    after = {**before, **{segment.key: segment for segment in changed}}
    entry = {
        "act": Act.PRUNE if applied and act is Act.INGEST and not learned.files else act,
        "at": at.isoformat(),
        "files": [_file(row, learned) for row in sorted(learned.files, key=_place)],
        "number": peaks.size + 1,
        "previous": peaks.root.hex(),
        "prunings": [pruning_document(connection, number) for number in applied],
        "segments": [_change(before.get(segment.key), segment) for segment in sorted(changed)],
        "segments_root": segments_root(after.values()),
        "version": _VERSION,
    }
    _store_segments(connection, changed)
    _store_entry(connection, entry, peaks, max([known_pruning, *applied]))
    return True


def append_map(
    connection: sa.Connection, said: Mapping[str, Any], *, read_mark: tuple[Any, ...] | None, at: datetime
) -> Checkpoint | None:
    """Appends an entry with the map of a lane's pairs, unless the newest entry has the same.

    Args:
        connection: The state database, open for writing.
        said: Lane, root and counts of the map.
        read_mark: The mark of the log (``log_mark``) when the evidence was read that the map is of.
        at: By the database's clock.

    Returns:
        The head of the log, whose newest entry has the map; None if evidence was committed meanwhile: nothing was done.

    Raises:
        PipelineError: The newest entry is damaged.
    """
    if log_mark(connection) != read_mark:
        return None
    peaks, known_pruning = _newest(connection)
    newest = _entry(connection, peaks.size)
    if newest.get("map") != said:
        entry = {
            "act": Act.MAP, "at": at.isoformat(), "files": [], "map": dict(said), "number": peaks.size + 1,
            "previous": peaks.root.hex(), "prunings": [], "segments": [], "version": _VERSION,
            "segments_root": _segments_root(newest, peaks.size),
        }  # fmt: skip
        _store_entry(connection, entry, peaks, known_pruning)
    return checkpoint_of(connection)


def _store_entry(connection: sa.Connection, entry: Mapping[str, Any], peaks: Peaks, pruning_number: int) -> None:
    peaks.append(leaf_hash(canonical_bytes(entry)))
    connection.execute(
        sa.insert(log_entries).values(
            entry_number=peaks.size,
            entry=canonical_json(entry),
            peaks=[peak.hex() for peak in peaks.hashes],
            pruning_number=pruning_number,
        )
    )


def _newest(connection: sa.Connection) -> tuple[Peaks, int]:
    row = connection.execute(_NEWEST).one_or_none()
    if row is None:
        return Peaks(), 0
    try:
        return Peaks(row.entry_number, [bytes.fromhex(peak) for peak in json.loads(row.peaks)]), row.pruning_number
    except (ValueError, TypeError):
        raise _damaged(row.entry_number) from None


def _entry(connection: sa.Connection, number: int) -> dict[str, Any]:
    try:
        entry = json.loads(_text(connection, number))
    except ValueError:
        entry = None
    if not isinstance(entry, dict):
        raise _damaged(number)
    return entry


def _segments_root(entry: Mapping[str, Any], number: int) -> str:
    root = entry.get("segments_root")
    if not isinstance(root, str):
        raise _damaged(number)
    return root


def _text(connection: sa.Connection, number: int) -> str:
    text = connection.scalar(sa.select(_log.entry).where(_log.entry_number == number))
    if not isinstance(text, str):
        raise _damaged(number)
    return text


def _damaged(number: int) -> PipelineError:
    return PipelineError(
        "the entry of the commit log is not the one that was appended",
        where=f"entry {number}",
        remedy="Run: cavra-pipeline verify --home; then restore the state database from a backup",
    )


def log_mark(connection: sa.Connection) -> tuple[Any, ...] | None:
    """Returns what tells the log from one with other evidence, as it is stored; None of an empty log.

    A map that somebody asked for is of the evidence before it, so the mark stays the same.
    """
    row = connection.execute(_NEWEST.where(_log.entry.not_like(_MAP_ENTRIES))).one_or_none()
    return tuple(row) if row else None


def is_empty(connection: sa.Connection) -> bool:
    """Returns whether the log has no entry yet."""
    return _newest(connection)[0].size == 0


def entries_of(connection: sa.Connection) -> Iterable[bytes]:
    """Returns the bytes of every entry, in order."""
    return [text.encode() for text in connection.scalars(sa.select(_log.entry).order_by(_log.entry_number))]


def checkpoint_of(connection: sa.Connection) -> Checkpoint | None:
    """Returns the head of the log as the state stores it; None if nothing was ever ingested.

    Raises:
        PipelineError: The first entry is gone, or the newest is damaged.
    """
    peaks, _ = _newest(connection)
    if not peaks.size:
        return None
    return Checkpoint(origin_of(leaf_hash(_text(connection, 1).encode())), peaks.size, peaks.root)


@dataclass(frozen=True, slots=True)
class LogHead:
    """The head of a log, and the root over all segments after its newest entry, as hexadecimal digits."""

    checkpoint: Checkpoint
    segments_root: str


def head_of(connection: sa.Connection) -> LogHead | None:
    """Returns the head of the log with the root over all segments; None if nothing was ever ingested.

    Raises:
        PipelineError: The first or the newest entry is gone or damaged.
    """
    checkpoint = checkpoint_of(connection)
    if checkpoint is None:
        return None
    newest = _entry(connection, checkpoint.size)
    return LogHead(checkpoint, _segments_root(newest, checkpoint.size))


def _nothing(segment: Segment) -> Segment:
    return Segment(*segment.key, 0, "")


def _place(row: Mapping[str, Any]) -> tuple[date, str]:
    return row["drop_day"], row["file_name"]


def _file(row: Mapping[str, Any], learned: Learned) -> dict[str, Any]:
    return {
        "drop_day": str(row["drop_day"]),
        "file_name": row["file_name"],
        "sha256": row["sha256"],
        **{name: row[name] for name in _FILE_COUNTS},
        "quarantine_root": learned.quarantine_roots.get(_place(row), root_of([]).hex()),
    }


def pruning_document(connection: sa.Connection, number: int) -> dict[str, Any]:
    """Returns what an entry says of a pruning, from what the state stores of it."""
    pruning = connection.execute(sa.select(prunings).where(prunings.c.pruning_number == number)).mappings().one()
    of_files = sa.select(pruned_drops).where(pruned_drops.c.pruning_number == number)
    rows = sorted((dict(row) for row in connection.execute(of_files).mappings()), key=_place)
    drops = [{"drop_day": str(row["drop_day"]), **{name: row[name] for name in _PRUNED_OF_FILE}} for row in rows]
    return {
        "number": number,
        "horizon": pruning["horizon"].isoformat(),
        **{name: pruning[name] for name in _PRUNED_COUNTS},
        "sha256": sha256(canonical_bytes({"counts": pruning["counts"], "drops": drops})).hexdigest(),
    }


def _change(before: Segment | None, after: Segment) -> dict[str, Any]:
    return {
        "lane": after.lane,
        "day": str(after.day),
        "before": before.document() if before else None,
        "after": after.document() if after.size else None,
    }


def _store_segments(connection: sa.Connection, changed: Sequence[Segment]) -> None:
    if not changed:
        return
    same = _segments.lane == sa.bindparam("of_lane"), _segments.segment_day == sa.bindparam("of_day")
    connection.execute(
        sa.delete(segments_table).where(*same),
        [{"of_lane": segment.lane, "of_day": segment.day} for segment in changed],
    )
    rows = [
        {"lane": segment.lane, "segment_day": segment.day, "record_count": segment.size, "root": segment.root}
        for segment in changed
        if segment.size
    ]
    if rows:
        connection.execute(sa.insert(segments_table), rows)
