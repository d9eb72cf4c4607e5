"""The warehouse of a home, derived once more from landing files and prunings, and compared with the one there is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from cavra_pipeline.evidence.landing_zone import landing_files
from cavra_pipeline.evidence.load import load_again
from cavra_pipeline.evidence.pseudonym_key import pseudonyms_of
from cavra_pipeline.proof.log import stored_segments
from cavra_pipeline.proof.segments import changed_after, hash_segments
from cavra_pipeline.retention.apply import apply_prunings, emptied_files
from cavra_pipeline.settings import Settings
from cavra_pipeline.sql import literal
from cavra_pipeline.state import state_of
from cavra_pipeline.state.tables import ingested_files
from cavra_pipeline.verify.differences import Difference, Part, of_file
from cavra_pipeline.warehouse import FileWarehouse, Session
from cavra_pipeline.warehouse.opening import scratch_warehouse

_PACKAGE: Final = "cavra_pipeline.verify"


@dataclass(frozen=True, slots=True)
class _Compared:
    """How the rows of a table are compared.

    Attributes:
        place: Expressions of what a difference names, with the names of ``Difference``.
        columns: What of a row must be the same.
        only: Which rows.
    """

    place: tuple[str, ...] = ()
    columns: str = "*COLUMNS(*)"
    only: str = ""


_FILE: Final = ("drop_day::VARCHAR AS drop_day", "file_name")
_SEGMENT: Final = ("coalesce(lane, '') AS lane", "created_at::DATE::VARCHAR AS day")
#: Tables whose rows are derived. The others number commits and say which warehouse it is.
_TABLES: Final[Mapping[str, _Compared]] = {
    "evidence_records": _Compared((*_FILE, *_SEGMENT)),
    "watched_records": _Compared(_SEGMENT),
    "retry_links": _Compared(("lane", "linked_at::DATE::VARCHAR AS day")),
    "retried_subjects": _Compared(("lane", "since::DATE::VARCHAR AS day")),
    "lane_days": _Compared(("lane", "segment_day::VARCHAR AS day")),
    "quarantine": _Compared(_FILE),
    "finding_rows": _Compared(_FILE),
    # A file that can't be read any more keeps what it brought; its place in the landing zone is found to differ.
    "drops": _Compared(
        _FILE, "*COLUMNS(* EXCLUDE (fingerprint, ingested_at, commit_number))", "WHERE fingerprint <> ''"
    ),
    "pruned_drops": _Compared(_FILE),
    "prunings": _Compared(("pruning_number AS number",)),
    "pruned_lanes": _Compared(("pruning_number AS number", "lane")),
    "pruned_providers": _Compared(("pruning_number AS number", "lane")),
    "pruned_skips": _Compared(("pruning_number AS number", "lane")),
}


def derive(settings: Settings, path: Path, *, now: datetime) -> tuple[FileWarehouse, list[Difference], int]:
    """Makes a warehouse from the landing files that the state knows, pruned as the home is.

    Args:
        settings: The home.
        path: The file to make.
        now: Stored beside each landing file.

    Returns:
        The warehouse, what differs of landing files, and how many were read.
    """
    state = state_of(settings)
    fresh = scratch_warehouse(settings, path)
    with state.reading() as connection:
        rows = connection.execute(
            sa.select(ingested_files.c.drop_day, ingested_files.c.file_name, ingested_files.c.sha256)
        )
        ingested = {(day, name): sha256 for day, name, sha256 in rows}
        emptied = emptied_files(connection)
    there = {(drop.day, drop.file_name) for drop in landing_files(settings, pseudonyms_of(settings))}
    unread = load_again(settings, fresh, ingested.keys() & there, now=now)
    with fresh.writing("apply prunings") as session:
        read = {(row[0], row[1]): row[2] for row in session.tuples("SELECT drop_day, file_name, sha256 FROM drops")}
        apply_prunings(session, state)
    differences = [of_file("it is gone", *key) for key in sorted(ingested.keys() - there - emptied)]
    differences += [of_file("it can't be read any more", *key) for key in sorted(unread)]
    differences += [
        of_file("its bytes are not those that were ingested", *key)
        for key in sorted(ingested.keys() & there - unread)
        if read.get(key) != ingested[key]
    ]
    return fresh, differences, len(ingested.keys() & there)


def check_segments(settings: Settings, derived: Session) -> Iterator[Difference]:
    """Yields the segments of the state that are not those of the derived evidence."""
    with state_of(settings).reading() as connection:
        stored = stored_segments(connection)
    segments = hash_segments(derived, changed_after(derived, 0).keys() | stored.keys(), pseudonyms_of(settings))
    for segment in segments:
        if stored.get(segment.key) != (segment if segment.size else None):
            what = "its evidence in the landing zone has another root than the stored one"
            yield Difference(Part.SEGMENT, what, lane=segment.lane, day=str(segment.day))


def check_warehouse(session: Session, derived: Path) -> Iterator[Difference]:
    """Yields what the home's warehouse and the derived one do not share.

    Args:
        session: The home's warehouse, open; its end detaches the derived one, be it a connection or a transaction.
        derived: The derived one, closed.
    """
    session.execute(f"ATTACH {literal(str(derived))} AS derived (READ_ONLY)")
    for table, how in _TABLES.items():
        place = ", ".join(how.place) or "'' AS lane"
        for row in session.rows(
            _PACKAGE, "differing_rows", table=table, place=place, columns=how.columns, only=how.only
        ):
            extra, missing = row.pop("extra_count"), row.pop("missing_count")
            what = f"{extra} rows are not what the landing zone says, {missing} rows are missing"
            yield Difference(Part.WAREHOUSE, what, table=table, **{k: v for k, v in row.items() if v is not None})  # type: ignore[arg-type]
    for row in session.rows(_PACKAGE, "differing_views"):
        yield Difference(Part.WAREHOUSE, "it is defined otherwise than by this release", table=str(row["name"]))
