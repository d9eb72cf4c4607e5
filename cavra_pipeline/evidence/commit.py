"""Commits validated landing files: one short transaction replaces whole files and settles current versions.

The same files give the same tables in any order and any number of times (docs/decisions/0005-ingest-speed.md).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final

from cavra_pipeline.boundary.verdict import LineFinding, QuarantinedLine
from cavra_pipeline.errors import PipelineError, TransientError
from cavra_pipeline.evidence.changes import write_change
from cavra_pipeline.evidence.landing import Drop
from cavra_pipeline.evidence.spill_buffer import SpillBuffer
from cavra_pipeline.proof.segments import mark_segments
from cavra_pipeline.retention.horizon import Closed, closed_drops
from cavra_pipeline.warehouse import Rows, Session
from cavra_pipeline.warehouse.lane_days import count_lane_days
from cavra_pipeline.warehouse.retry_links import relink
from cavra_pipeline.warehouse.schema import EVIDENCE_COLUMNS

_PACKAGE: Final = "cavra_pipeline.evidence"
#: A line's number in a group: upper bits the number of its landing file in the group, lower bits its own.
LINE_BITS: Final = 40
LINE_MASK: Final = (1 << LINE_BITS) - 1

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
class ValidatedDrop:
    """A landing file after validation, without its rows: rejected lines, findings, counts."""

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
    """Landing files that are committed together, and their rows."""

    buffer: SpillBuffer
    drops: list[ValidatedDrop] = field(default_factory=list)

    @property
    def raw_bytes(self) -> int:
        """Bytes read of its landing files so far, uncompressed."""
        return sum(validated.raw_bytes for validated in self.drops)


def _quarantine_rows(group: list[ValidatedDrop]) -> Rows:
    return Rows(_QUARANTINE, [
        (validated.drop.day, validated.drop.file_name, source, line.line_number, line.sha256, line.reason, line.field)
        for validated in group
        for source, line in validated.quarantined
    ])  # fmt: skip


def _findings_rows(group: list[ValidatedDrop]) -> Rows:
    return Rows(_FINDINGS, [
        (validated.drop.day, validated.drop.file_name, source, finding.line_number, finding.rule, finding.path,
         finding.action, finding.sha256)
        for validated in group
        for source, finding in validated.findings
    ])  # fmt: skip


def _drops_rows(group: list[ValidatedDrop], now: datetime) -> Rows:
    at = now.replace(tzinfo=None)
    return Rows(_DROPS, [
        (number, validated.drop.day, validated.drop.file_name, validated.drop.fingerprint, validated.sha256,
         validated.raw_bytes, validated.received_count, len(validated.quarantined), validated.unknown_kind_count,
         validated.dropped_field_count, None, at)
        if validated.error is None else
        (number, validated.drop.day, validated.drop.file_name, "", None, 0, 0, 0, 0, 0, validated.error.what, at)
        for number, validated in enumerate(group)
    ])  # fmt: skip


def fingerprints(session: Session, days: Iterable[date] | None = None) -> dict[tuple[date, str], str]:
    """Returns the fingerprint of each landing file as it was ingested, by day and name; of some days, or of all."""
    parameters: dict[str, object] = {"days": None if days is None else sorted({*days})}
    rows: list[dict[str, Any]] = session.rows(_PACKAGE, "ingested_drops", parameters)
    return {(row["drop_day"], row["file_name"]): row["fingerprint"] for row in rows}


def is_committed(session: Session, group: Group) -> bool:
    """Returns whether every landing file of the group is in the warehouse as it was read."""
    ingested_files = fingerprints(session, (validated.drop.day for validated in group.drops))
    return all(
        ingested_files.get((validated.drop.day, validated.drop.file_name)) == validated.drop.fingerprint
        for validated in group.drops
    )


def commit(session: Session, group: Group, now: datetime) -> set[date]:
    """Replaces the group's landing files in the open transaction and settles which version of each record is current.

    A landing file that can't be read keeps what an earlier, readable version of it brought. Records created before the
    retention horizon are left out.

    Returns:
        The UTC days on which the records were created that came in or went.

    Raises:
        TransientError: A landing file was closed by a pruning since it was chosen.
    """
    closed = closed_drops(session)
    _check_open(closed, group)
    readable = [validated for validated in group.drops if not validated.error]
    with session.staged(
        staged_drops=_drops_rows(group.drops, now),
        staged_quarantine=_quarantine_rows(readable),
        staged_finding_rows=_findings_rows(readable),
    ):
        session.run(_PACKAGE, "mark_replaced_records")
        for table in ("evidence_records", "quarantine", "finding_rows", "drops", "pruned_drops"):
            session.run(_PACKAGE, "delete_replaced", table=table)
        row_count = _insert_records(session, group)
        _leave_out_past_retention(session, group, closed.horizon)
        (share,) = session.rows(_PACKAGE, "is_most_ingested", {"row_count": row_count})
        session.run(_PACKAGE, "mark_all_duplicated_ids" if share["is_most_ingested"] else "mark_duplicated_ids")
        session.run(_PACKAGE, "settle_versions")
        write_change(session)
        session.run(_PACKAGE, "list_changed_segments")
        mark_segments(session)
        count_lane_days(session)
        _watch(session)
        session.run(_PACKAGE, "mark_unreadable_drops")
        session.run(_PACKAGE, "insert_drops")
        for table in ("quarantine", "finding_rows"):
            session.run(_PACKAGE, "insert_staged", table=table)
        return {row["created_day"] for row in session.rows(_PACKAGE, "touched_days")}  # type: ignore[misc]


def _check_open(closed: Closed, group: Group) -> None:
    for validated in group.drops:
        if closed.holds(validated.drop.day, validated.drop.file_name):
            raise TransientError(
                "evidence of this landing file has been pruned while it was read",
                where=validated.drop.name,
                remedy="Ingest again; what stands of it stays as it is",
            )


def _leave_out_past_retention(session: Session, group: Group, horizon: datetime | None) -> None:
    if horizon is None:
        return
    at: dict[str, object] = {"horizon": horizon}
    rows = session.rows(_PACKAGE, "count_past_retention", at)
    if rows:
        counted = {(row["drop_day"], row["file_name"]): int(str(row["record_count"])) for row in rows}
        for validated in group.drops:
            validated.past_retention_count = counted.get((validated.drop.day, validated.drop.file_name), 0)
        session.run(_PACKAGE, "note_past_retention", at)
        session.run(_PACKAGE, "delete_past_retention", at)


def _watch(session: Session) -> None:
    """Keeps ``watched_records``: of a subject that is in it every current record is, and every failing one is in it."""
    session.run(_PACKAGE, "mark_ingested_rows")
    session.run(_PACKAGE, "mark_touched_subjects")
    session.run(_PACKAGE, "unwatch_duplicated_ids")
    session.run(_PACKAGE, "mark_newly_failing")
    session.run(_PACKAGE, "watch_ingested_rows")
    session.run(_PACKAGE, "find_newly_watched")
    session.run(_PACKAGE, "watch_newly_failing")
    session.run(_PACKAGE, "settle_subjects")
    session.run(_PACKAGE, "mark_touched_links")
    relink(session)


def _insert_records(session: Session, group: Group) -> int:
    """Inserts the rows, those of unreadable landing files aside, and returns how many they are."""
    rows = group.buffer.rows()
    if rows is None:
        return 0
    made_here = ("drop_day", "file_name", "line_number", "is_current", "session_key", "subject_key")
    columns = ", ".join(name for name, _, _ in EVIDENCE_COLUMNS if name not in made_here)
    bits, mask = str(LINE_BITS), str(LINE_MASK)
    # Lists by the number of the landing file: a join with a table of them takes longer.
    drops: dict[str, object] = {
        "drop_days": [validated.drop.day for validated in group.drops],
        "file_names": [None if validated.error else validated.drop.file_name for validated in group.drops],
    }
    with session.staged(staged_records=rows):
        (inserted,) = session.rows(_PACKAGE, "insert_records", drops, columns=columns, line_bits=bits, line_mask=mask)
    return int(str(inserted["Count"]))
