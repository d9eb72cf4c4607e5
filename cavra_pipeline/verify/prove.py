"""Proves a report of a home: makes its bundle from the warehouse and the commit log, and checks that it holds."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from importlib.metadata import version
from itertools import groupby
from typing import Any, Final

from cavra_pipeline.boundary.kinds import DELIVERY_KIND, KINDS
from cavra_pipeline.boundary.pseudonyms import Pseudonyms
from cavra_pipeline.documents import parse_as_of
from cavra_pipeline.errors import PipelineError, TransientError, UsageError
from cavra_pipeline.evidence.keeper import HomeKeeper, warehouse_of
from cavra_pipeline.evidence.pseudonym_key import pseudonyms_of
from cavra_pipeline.lanes import Lane
from cavra_pipeline.proof.checkpoint import Checkpoint, Note
from cavra_pipeline.proof.keys import load_key
from cavra_pipeline.proof.log import checkpoint_of, entries_of, log_mark, stored_segments
from cavra_pipeline.proof.publish import EmptyLog
from cavra_pipeline.proof.records import kind_condition, record_text
from cavra_pipeline.proof.segments import salt_of
from cavra_pipeline.proof.signing import sign
from cavra_pipeline.reports.store import SavedReports, list_reports, make_reports
from cavra_pipeline.settings import Settings
from cavra_pipeline.sql import literal, statement
from cavra_pipeline.state import state_of
from cavra_pipeline.verify.bundle import DisclosedDay, Proven, attested, make_bundle
from cavra_pipeline.verify.check import judged, newest_maps
from cavra_pipeline.verify.lane_rules import NO_LANE, lane_rules
from cavra_pipeline.warehouse import Session
from cavra_pipeline.warehouse.opening import open_warehouse
from cavra_pipeline.warehouse.schema import Identity, identity_of

_PACKAGE: Final = "cavra_pipeline.verify"


class OutdatedReport(PipelineError):
    """The evidence of now makes another report than the one to be proven."""


def prove_report(
    settings: Settings,
    report: str,
    lane: Lane,
    *,
    as_of: datetime,
    now: datetime,
    parameters: Mapping[str, Any] | None = None,
    opened: AbstractContextManager[Session] | None = None,
) -> bytes:
    """Makes a report and returns its bundle, signed if the home has a key.

    Args:
        settings: The home.
        report: ``retry_plan`` or ``retry_health``.
        lane: The lane.
        as_of: Instant of the report.
        now: When it is made; the bundle does not show it.
        parameters: Policy fields or health parameters, by their names.
        opened: Opens the warehouse, or a copy of it, to be read; it is closed before the bundle is made.

    Raises:
        UsageError: A parameter is not accepted, the evidence has been pruned, or nothing was ever ingested.
        TransientError: Evidence was committed meanwhile.
        PipelineError: The warehouse does not hold what the commit log says, or the key can't be read.
    """
    with opened or warehouse_of(settings).reading() as session:
        (document,) = make_reports(session, report, lane, instants=[as_of], now=now, parameters=parameters or {})
        read = read_lane(session, settings, lane, _last_day(document))
    return bundle_of(settings, read, document, lane)


def prove_saved_report(settings: Settings, report: str, lane: Lane, day: date) -> bytes:
    """Returns the bundle of the saved report of a UTC day; the arguments and errors are those of ``prove_report``.

    Raises:
        UsageError: No such report is saved.
        OutdatedReport: The evidence of now makes another report.
    """
    which = SavedReports(report=report, lane=lane.name, first=day, last=day)
    saved = list_reports(state_of(settings), which, limit=1, with_documents=True)
    if not saved:
        raise UsageError(
            "no such report is saved",
            where=f"{report} of {lane.name}, {day}",
            remedy="Save it: cavra-pipeline backfill --from DAY",
        )
    return prove_document(settings, saved[0]["document"], lane)


def prove_document(
    settings: Settings,
    document: Mapping[str, Any],
    lane: Lane,
    *,
    opened: AbstractContextManager[Session] | None = None,
) -> bytes:
    """Returns the bundle of a plan or a health report that was made before; as ``prove_report`` does.

    Raises:
        OutdatedReport: The evidence of now makes another report.
    """
    with opened or warehouse_of(settings).reading() as session:
        read = read_lane(session, settings, lane, _last_day(document))
    return bundle_of(settings, read, document, lane)


@dataclass(frozen=True, slots=True)
class LaneRead:
    """What a home holds of a lane, or of all; the warehouse may be closed again.

    Attributes:
        identity: Which warehouse it was read from.
        head: The head of the commit log.
        mark: What tells its evidence from other evidence (``log_mark``).
        entries: The bytes of its entries, oldest first.
        days: The lane's segments up to a day, and
        pruned: what retention has removed of the lane, both as ``Proven`` has them.
        has_all_days: Whether the lane has no segment after that day.
    """

    identity: Identity
    head: Checkpoint
    mark: tuple[Any, ...] | None
    entries: Sequence[bytes]
    days: Mapping[str, DisclosedDay]
    has_all_days: bool
    pruned: Mapping[str, Any]

    def is_outdated(self, settings: Settings) -> bool:
        """Returns whether evidence was committed meanwhile; a commit made just now may not be in the log yet."""
        keeper = HomeKeeper(settings)
        with state_of(settings).reading() as connection:
            is_same_log = log_mark(connection) == self.mark
        is_same_commit = not keeper.is_ahead_of_state(self.identity) and not keeper.reason_to_remake(self.identity)
        return not (is_same_log and is_same_commit)


def read_lane(session: Session, settings: Settings, lane: Lane, last_day: date) -> LaneRead:
    """Reads the records of a lane up to a UTC day, and the commit log.

    Raises:
        EmptyLog: Nothing was ever ingested.
        PipelineError: The commit log is damaged.
    """
    read = read_log(session, settings, lane.name, last_day)
    days = disclosed(session, lane, last_day, pseudonyms_of(settings))
    return replace(read, days=days, pruned=pruned_of(session, lane))


def read_log(session: Session, settings: Settings, lane: str, last_day: date) -> LaneRead:
    """Reads the commit log, and whether a lane has segments after a UTC day; no records yet. Errors: ``read_lane``."""
    with state_of(settings).reading() as connection:
        head, mark, entries = checkpoint_of(connection), log_mark(connection), list(entries_of(connection))
        days = {day for of, day in stored_segments(connection) if of == lane}
    if head is None:
        raise EmptyLog(
            "nothing was ever ingested, so there is no commit log to prove it by",
            where=str(settings.home),
            remedy="Run: cavra-pipeline ingest",
        )
    return LaneRead(
        identity=identity_of(session, where=open_warehouse(settings).where),
        head=head,
        mark=mark,
        entries=entries,
        days={},
        has_all_days=max(days, default=last_day) <= last_day,
        pruned={},
    )


def _last_day(report: Mapping[str, Any]) -> date:
    return parse_as_of(report["as_of"]).astimezone(UTC).date()


def bundle_of(settings: Settings, read: LaneRead, report: Mapping[str, Any], lane: Lane | None) -> bytes:
    """Returns the bundle of a report, which is checked first; errors are those of ``prove_report``.

    Args:
        settings: The home.
        read: What the report is based on, and the commit log.
        report: The report.
        lane: Its lane; None for all.
    """
    key = load_key(settings.signing_key_file) if settings.signing_key_file else None
    proven = Proven(
        report=attested(report),
        days=read.days,
        entries=read.entries,
        checkpoint=sign(read.head, key) if key else Note(read.head),
        pruned=read.pruned,
        map_salt=map_salt(pseudonyms_of(settings), lane) if lane and _has_map(read, lane) else b"",
        made_by={
            "cavra_pipeline": version("cavra-pipeline"),
            "duckdb": version("duckdb"),
            "python": sys.version.split()[0],
        },
    )
    bundle = make_bundle(proven, key)
    _, fault = judged(bundle, lane_rules())
    if fault:
        where = lane.name if lane else str(settings.home)
        raise _fault(fault, where, is_moved=read.is_outdated(settings))
    return bundle


def _has_map(read: LaneRead, lane: Lane) -> bool:
    """Returns whether a verifier checks a map by the records: whoever has the salt can test guesses at other pairs."""
    try:
        return read.has_all_days and bool(newest_maps([json.loads(entry) for entry in read.entries], lane.name))
    except (ValueError, KeyError, TypeError):
        return False


def _fault(fault: str, where: str, *, is_moved: bool) -> PipelineError:
    if is_moved:
        return TransientError("evidence was committed meanwhile", where=where, remedy="Run the command again")
    if fault.startswith("report: "):
        # The values that differ are content of records.
        member = fault.removeprefix("report: ").partition(" says ")[0]
        return OutdatedReport(
            f"the evidence of now makes another report: {member} differs",
            where=where,
            remedy="Save the report again, or prove a new one",
        )
    return PipelineError(
        f"the warehouse does not hold what the commit log says: {fault}",
        where=where,
        remedy="Run: cavra-pipeline verify --home, which names what differs",
    )


def disclosed(
    session: Session,
    lane: Lane | None,
    last_day: date,
    pseudonyms: Pseudonyms,
    *,
    types: Collection[str] | None = None,
) -> dict[str, DisclosedDay]:
    """Returns the segments of a lane up to a day, by day; None: those of records without a lane.

    With `types`, only their records of these types, so they are no whole segments.
    """
    name = lane.name if lane else NO_LANE
    kinds = {
        kind.name
        for kind in KINDS.values()
        if (kind.name == DELIVERY_KIND or (kind.lane or NO_LANE) == name) and (not types or kind.record_type in types)
    }
    conditions = {kind: f"metadata_kind = {literal(kind)}" for kind in sorted(kinds)}
    if lane is None:
        conditions[""] = kind_condition(set(KINDS))
    texts = " UNION ALL ".join(
        statement(_PACKAGE, "record_texts", text=record_text(kind), of_kind=condition)
        for kind, condition in conditions.items()
    )
    rows = session.stream(_PACKAGE, "disclosed_records", {"lane": name, "last_day": last_day}, texts=texts)
    return {
        str(day): DisclosedDay(salt_of(pseudonyms, name, day), [str(row["text"]).encode() for row in of_day])
        for day, of_day in groupby(rows, key=lambda row: row["segment_day"])
    }


def pruned_of(session: Session, lane: Lane) -> dict[str, int]:
    """Returns how many records and deliveries of a lane retention has removed."""
    (pruned,) = session.rows(_PACKAGE, "pruned_of_lane", {"lane": lane.name})
    return {name: int(str(count)) for name, count in pruned.items()}


def map_salt(pseudonyms: Pseudonyms, lane: Lane) -> bytes:
    """Returns what hides the histories in the map of a lane's pairs, 16 bytes."""
    return pseudonyms.salt_of(f"pairs\n{lane.name}")
