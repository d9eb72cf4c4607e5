"""Loads landing files into a warehouse: through the boundary (``validation``), then in groups (``commit``).

Which files, and into which warehouse, is the caller's: ``ingest`` and ``keeper``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final

from cavra_pipeline.errors import OutOfMemory, PipelineError
from cavra_pipeline.evidence.commit import Group, ValidatedDrop, commit, is_committed
from cavra_pipeline.evidence.landing import Drop
from cavra_pipeline.evidence.landing_zone import landing_files
from cavra_pipeline.evidence.pseudonym_key import pseudonyms_of
from cavra_pipeline.evidence.validation import validate_drop, validated_groups
from cavra_pipeline.settings import Settings
from cavra_pipeline.warehouse import WriteConflict
from cavra_pipeline.warehouse.base import ATTEMPTS, Openable, wait_after_conflict

_PACKAGE: Final = "cavra_pipeline.evidence"


@dataclass(slots=True)
class IngestResult:
    """What an ingest did.

    Attributes:
        drops: Landing files it read, in order.
        unchanged_count: Landing files it left alone because they were in the warehouse as they are, or came there by
            another writer while this one waited.
        received_count: Lines that were not blank.
        quarantined_count: Rejected lines.
        finding_count: Findings recorded.
        unknown_kind_count: Records of kinds the contract does not know, stored with their envelope only.
        dropped_field_count: Fields left out.
        past_retention_count: Records left out because evidence of their time has been pruned.
        closed_drops: Files left alone because evidence of their day, or what they held, has been pruned; of unchanged
            ones only those that were to be read again.
        touched_days: Days on which the records that came in, or went, were created.
        failures: Landing files that could not be read; the others are in the warehouse.
        notes: What was left out of a landing file that is no line.
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


def load_again(
    settings: Settings, fresh: Openable, files: Collection[tuple[date, str]], *, now: datetime
) -> set[tuple[date, str]]:
    """Loads landing files that were ingested before into a warehouse that is being rebuilt.

    Args:
        settings: The home and its limits.
        fresh: The warehouse.
        files: Landing day and file name of each.
        now: When that is; stored beside each file.

    Returns:
        Those that can't be read.
    """
    drops = [drop for drop in landing_files(settings, pseudonyms_of(settings)) if (drop.day, drop.file_name) in files]
    result = IngestResult()
    load(fresh, drops, settings, result, now=now, tick=lambda _: None, again=True)
    with fresh.reading() as session:
        return {(row["drop_day"], row["file_name"]) for row in session.rows(_PACKAGE, "unreadable_drops")}  # type: ignore[misc]


def load(
    warehouse: Openable,
    drops: list[Drop],
    settings: Settings,
    result: IngestResult,
    *,
    now: datetime,
    tick: Callable[[int], None],
    again: bool = False,
) -> None:
    """Reads landing files and commits them, adding to the result.

    Args:
        warehouse: The warehouse.
        drops: The landing files.
        settings: The home and its limits.
        result: What is added to.
        now: When that is; stored beside each file.
        tick: Called with bytes read, for progress.
        again: Whether files are committed too that are in the warehouse as they are; else those are left out that
            another writer has committed since they were listed.
    """
    if not drops:
        return
    loader = _Loader(warehouse, settings, result, now, again)
    try:
        for group in validated_groups(drops, settings, tick):
            loader.commit(group)
    except MemoryError:
        raise OutOfMemory(settings.landing_place) from None


class _CommittedByOthers(Exception):
    """While this writer waited for its turn, another committed the same landing files."""


@dataclass(frozen=True, slots=True)
class _Loader:
    """Commits groups of landing files; attributes as the arguments of ``load``."""

    warehouse: Openable
    settings: Settings
    result: IngestResult
    now: datetime
    again: bool

    def commit(self, group: Group, attempt: int = 1) -> None:
        """Commits a group; if that fails, each of its landing files by itself, so that those before the failing stay.

        The same holds where what was written does not stand, because the rows of a group can be read only once.
        """
        try:
            with group.buffer, self.warehouse.writing("commit drops") as session:
                if not self.again and is_committed(session, group):
                    raise _CommittedByOthers
                self.result.touched_days |= commit(session, group, self.now)
            for validated in group.drops:
                _add(self.result, validated)
            return
        except _CommittedByOthers:
            self.result.unchanged_count += len(group.drops)
            return
        except WriteConflict:
            if attempt >= ATTEMPTS:
                raise
            wait_after_conflict()
            attempt += 1
        except Exception as error:
            if isinstance(error, PipelineError) and not isinstance(error, OutOfMemory):
                # The file is busy, or there is no room: no fault of one landing file.
                raise
            if len(group.drops) == 1:
                raise _stopped(group.drops[0].drop, error) from error
        for validated in group.drops:
            self.commit(validate_drop(validated.drop, self.settings), attempt)


def _stopped(drop: Drop, error: Exception) -> PipelineError:
    if isinstance(error, OutOfMemory | MemoryError):
        return OutOfMemory(
            drop.name, "there is not enough memory to commit this landing file; the files before it stay ingested"
        )
    return PipelineError(
        f"this landing file could not be committed: {type(error).__name__}",
        where=drop.name,
        remedy="The files before it stay ingested; ingest again for the rest",
    )


def _add(result: IngestResult, validated: ValidatedDrop) -> None:
    result.drops.append(validated.drop)
    result.received_count += validated.received_count
    result.quarantined_count += len(validated.quarantined)
    result.finding_count += len(validated.findings)
    result.unknown_kind_count += validated.unknown_kind_count
    result.dropped_field_count += validated.dropped_field_count
    result.past_retention_count += validated.past_retention_count
    result.notes += validated.notes
    if validated.error:
        result.failures.append(validated.error)
