"""Verifies a home: commit log, landing files, segments, warehouse and saved reports, each against what it is from."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import sqlalchemy as sa

from cavra_pipeline.errors import TransientError
from cavra_pipeline.evidence.keeper import HomeKeeper, warehouse_of
from cavra_pipeline.evidence.leftovers import remove_left_folders, scratch_folder
from cavra_pipeline.proof.log import entries_of, log_mark, stored_segments
from cavra_pipeline.proof.merkle import leaf_hash
from cavra_pipeline.retention.apply import applied_prunings
from cavra_pipeline.settings import Settings
from cavra_pipeline.state import state_of
from cavra_pipeline.state.tables import log_entries, prunings
from cavra_pipeline.verify.differences import Verified
from cavra_pipeline.verify.evidence import check_segments, check_warehouse, derive
from cavra_pipeline.verify.log import check_log
from cavra_pipeline.verify.maps import check_maps
from cavra_pipeline.verify.reports import check_reports
from cavra_pipeline.verify.timestamps import check_time_stamps
from cavra_pipeline.warehouse import Warehouse
from cavra_pipeline.warehouse.schema import identity_of

_PREFIX: Final = ".verify-"


def verify_home(settings: Settings, *, now: datetime) -> Verified:
    """Verifies what a home holds; all that it changes is to finish what a process that was killed has begun.

    The warehouse is derived once more, in a temporary folder of the home, and compared row by row. Writers wait only
    while rows are compared.

    Args:
        settings: The home.
        now: When that is; no finding depends on it.

    Returns:
        What was read and what differs.

    Raises:
        TransientError: Evidence was written meanwhile; nothing can be said.
        WarehouseBusy: A writer held the warehouse for too long.
    """
    state, warehouse = state_of(settings), warehouse_of(settings)
    _finish_what_was_killed(settings, warehouse)
    remove_left_folders(settings.home, _PREFIX)
    with scratch_folder(settings.home, _PREFIX) as folder:
        path = folder / "derived.duckdb"
        with state.reading() as connection:
            verified = Verified(differences=list(check_log(connection)))
            before, verified.segment_count = log_mark(connection), len(stored_segments(connection))
            verified.entry_count = connection.scalar(sa.select(sa.func.max(log_entries.c.entry_number))) or 0
            hashes = [leaf_hash(entry) for entry in entries_of(connection)]
        verified.differences += check_time_stamps(settings, hashes, verified)
        derived, of_files, verified.landing_file_count = derive(settings, path, now=now)
        verified.differences += of_files
        with warehouse.reading() as session:
            # A commit that was made just now is not in the log yet.
            is_ahead = HomeKeeper(settings).is_ahead_of_state(identity_of(session, where=warehouse.where))
            with state.reading() as connection:
                is_changed = log_mark(connection) != before
            if is_ahead or is_changed:
                raise _changed(settings)
            verified.differences += check_warehouse(session, path)
            ((count,),) = session.tuples("SELECT count(*) FROM evidence")
            verified.record_count = int(str(count))
        with derived.reading() as session, state.reading() as connection:
            verified.differences += check_segments(settings, session)
            verified.differences += check_maps(settings, session, entries_of(connection))
            verified.differences += check_reports(connection, session, verified, now=now)
            is_changed = log_mark(connection) != before
        if is_changed:
            raise _changed(settings)
    verified.differences.sort()
    return verified


def _finish_what_was_killed(settings: Settings, warehouse: Warehouse) -> None:
    """Tells the state of commits, and applies prunings, of which a process that was killed did only one half.

    A pruning that the log says was applied, or that the state does not know, is left to be found.
    """
    with warehouse.reading() as session:
        identity, applied = identity_of(session, where=warehouse.where), applied_prunings(session)
    with state_of(settings).reading() as connection:
        stored = set(connection.scalars(sa.select(prunings.c.pruning_number)))
        logged = connection.scalar(sa.select(sa.func.max(log_entries.c.pruning_number))) or 0
    if applied - stored or any(number <= logged for number in stored - applied):
        return
    if stored - applied or HomeKeeper(settings).is_ahead_of_state(identity):
        # Whoever opens a warehouse for writing does both (``cavra_pipeline.evidence.keeper``).
        with warehouse.writing("finish what was killed"):
            pass


def _changed(settings: Settings) -> TransientError:
    return TransientError(
        "evidence was written while the home was verified",
        where=str(settings.home),
        remedy="Repeat it when nothing is ingested",
    )
