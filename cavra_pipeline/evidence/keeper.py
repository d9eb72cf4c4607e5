"""What a home's warehouse is derived from: landing files, and what the state database remembers of them.

``warehouse_of`` opens the warehouse for everybody above. A file that is missing, refused by DuckDB, of another release,
or older than the state is rebuilt here (docs/operations.md, "Losing the warehouse").
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any, Final

import sqlalchemy as sa

from cavra_pipeline.errors import PipelineError
from cavra_pipeline.evidence.changes import changes_after, note_changes, sum_up_changes
from cavra_pipeline.evidence.landing_zone import landing_files
from cavra_pipeline.evidence.leaks import found_secrets, note_leaks
from cavra_pipeline.evidence.pseudonym_key import pseudonyms_of
from cavra_pipeline.proof.log import Act, Learned, append_entry, is_empty, quarantine_roots, stored_segments
from cavra_pipeline.proof.segments import changed_after, hash_segments
from cavra_pipeline.retention.apply import applied_prunings, apply_prunings, emptied_files
from cavra_pipeline.settings import Settings
from cavra_pipeline.state import State, database_now, state_of
from cavra_pipeline.state.tables import ingested_files, warehouses
from cavra_pipeline.warehouse import Memory, Session, Warehouse
from cavra_pipeline.warehouse.base import Keeper, Openable, WriteConflict
from cavra_pipeline.warehouse.opening import open_warehouse
from cavra_pipeline.warehouse.schema import Identity, identity_of

_log = logging.getLogger("cavra_pipeline.warehouse")

_PACKAGE: Final = "cavra_pipeline.evidence"
#: Why the state knows a warehouse that was not lost: it was the first, it was there before, or a person asked for it.
FIRST, UNKNOWN, REQUESTED = "first", "unknown_to_state", "requested"
_SHOWN_DAYS: Final = 10
_FileKey = tuple[date, str]
_Rows = Sequence[Mapping[str, Any]]
_SegmentKey = tuple[str, date]


def warehouse_of(settings: Settings, *, keeper: Keeper | None = None, memory: Memory | None = None) -> Warehouse:
    """Returns the home's warehouse with the limits of the settings.

    Args:
        settings: The home.
        keeper: Rebuilds it; the home's own if not given.
        memory: What readers have worked out from the evidence, if they share it.
    """
    return open_warehouse(settings, keeper=keeper or HomeKeeper(settings), memory=memory)


@dataclass(frozen=True, slots=True)
class HomeKeeper:
    """Rebuilds the warehouse of a home, and tells the state what it holds.

    Attributes:
        settings: The home.
        without_missing: Whether to go on where landing files that were ingested are gone.
    """

    settings: Settings
    without_missing: bool = False

    @property
    def _state(self) -> State:
        return state_of(self.settings)

    @property
    def _where(self) -> str:
        return open_warehouse(self.settings).where

    def reason_to_remake(self, identity: Identity) -> str | None:
        """Returns why the warehouse can't answer for what the state knows, as a word of an alert, or None."""
        if not identity.is_current:
            return "other_release"
        if self._known_commit(identity) > identity.commit_number:
            return "older_than_state"
        return None

    def is_ahead_of_state(self, identity: Identity) -> bool:
        """Returns whether the warehouse has commits that the state does not know: whoever made them was cut short."""
        return self._known_commit(identity) < identity.commit_number

    def _known_commit(self, identity: Identity) -> int:
        query = sa.select(warehouses.c.commit_number).where(warehouses.c.warehouse_id == identity.warehouse_id)
        with self._state.reading() as connection:
            return int(connection.scalar(query) or 0)

    def beginning(self, session: Session) -> Identity:
        """Applies prunings that a process which was killed has only stored, and sums up changes that are noted."""
        apply_prunings(session, self._state)
        identity = identity_of(session, where=self._where)
        sum_up_changes(session, self._known_commit(identity))
        return identity

    def committed(self, warehouse: Warehouse, written: Identity) -> None:
        """Stores in the state what commits have changed that it does not know yet, those of other writers included.

        Evidence is hashed here, where the gate is free. If that is cut short, the next writer does it.

        Raises:
            WriteConflict: The warehouse is not the one ``written``: it was lost since, and rebuilt without the commit.
        """
        with warehouse.reading() as session:
            identity = identity_of(session, where=warehouse.where)
            if identity.warehouse_id != written.warehouse_id:
                raise WriteConflict(
                    "the warehouse was lost after a commit, and rebuilt without it",
                    where=warehouse.where,
                    remedy="Repeat it; landing files are ingested again",
                )
            stored_commit = self._known_commit(identity)
            if stored_commit >= identity.commit_number:
                return
            files = session.rows(_PACKAGE, "files_of_commits", {"after": stored_commit})
            changes = changes_after(session, stored_commit)
            secrets = found_secrets(session, after=stored_commit) if files else []
            marks, learned = self._learned(session, files, stored_commit)
        self._remember(identity, learned, marks, changes, secrets)

    def _learned(self, session: Session, files: _Rows, stored_commit: int) -> tuple[dict[_SegmentKey, int], Learned]:
        """Hashes what commits after the stored one have changed; returns the commit that changed each segment, too."""
        marks = changed_after(session, stored_commit)
        stored: Iterable[_SegmentKey] = ()
        if not stored_commit:
            with self._state.reading() as connection:
                stored = stored_segments(connection)
        hashed = hash_segments(session, {*marks, *stored}, pseudonyms_of(self.settings)) if marks or stored else []
        return marks, Learned(files, quarantine_roots(session, stored_commit), hashed, applied_prunings(session))

    def _remember(
        self,
        identity: Identity,
        learned: Learned,
        marks: Mapping[_SegmentKey, int],
        changes: _Rows,
        secrets: _Rows,
    ) -> None:
        of_warehouse = warehouses.c.warehouse_id == identity.warehouse_id
        with self._state.writing() as connection:
            note_leaks(connection, secrets)
            stored_number = connection.scalar(sa.select(warehouses.c.commit_number).where(of_warehouse))
            # Another writer may have told the state of some of these commits meanwhile.
            commit_number = stored_number or 0
            files = [file for file in learned.files if file["commit_number"] > commit_number]
            _store_files(connection, files)
            note_changes(
                connection, [change["earliest"] for change in changes if change["commit_number"] > commit_number]
            )
            if commit_number < identity.commit_number:
                segments = [
                    segment
                    for segment in learned.segments
                    if marks.get(segment.key, identity.commit_number) > commit_number
                ]
                fresh = replace(learned, files=files, segments=segments)
                append_entry(connection, Act.INGEST, fresh, at=database_now(connection))
            if stored_number is None:
                _log.warning(
                    "the state database did not know %s, as after a restored backup: it has learned from it of %d "
                    "landing files",
                    self._where,
                    len(files),
                )
                _insert(connection, identity, UNKNOWN)
            elif stored_number < identity.commit_number:
                connection.execute(
                    sa.update(warehouses).where(of_warehouse).values(commit_number=identity.commit_number)
                )

    def fill(self, fresh: Openable, *, because: str, set_aside_as: str | None) -> None:
        """Ingests into an empty warehouse the landing files that were ingested before, and prunes it as it was pruned.

        Raises:
            PipelineError: Landing files that were ingested are gone.
        """
        from cavra_pipeline.evidence.load import load_again

        with self._state.reading() as connection:
            now = database_now(connection)
            ingested_keys = {(row.drop_day, row.file_name) for row in connection.execute(sa.select(ingested_files))}
        if ingested_keys:
            there = {(drop.day, drop.file_name) for drop in landing_files(self.settings, pseudonyms_of(self.settings))}
            gone = ingested_keys - there
            self._require(gone)
            self._require(load_again(self.settings, fresh, ingested_keys & there, now=now))
            with fresh.writing("apply prunings") as session:
                apply_prunings(session, self._state)
            if ingested_keys - gone:
                # The command of whoever requested it says so itself.
                severity = logging.INFO if because == REQUESTED else logging.WARNING
                count = len(ingested_keys - gone)
                _log.log(severity, "%s was rebuilt from %d landing files (%s)", self._where, count, because)
        self._remember_made(fresh, because if ingested_keys else FIRST, set_aside_as)

    def _require(self, missing: set[_FileKey]) -> None:
        """Refuses to go on without files, unless a pruning has emptied them or a person asked for it."""
        with self._state.reading() as connection:
            files = missing - emptied_files(connection)
        if not files or self.without_missing:
            return
        days = sorted({str(day) for day, _ in files})
        more = f" and {len(days) - _SHOWN_DAYS} more" if len(days) > _SHOWN_DAYS else ""
        raise PipelineError(
            f"{len(files)} landing files that were ingested can't be read any more; they are of "
            f"{', '.join(days[:_SHOWN_DAYS])}{more}",
            where=self.settings.landing_place,
            remedy="Put them back from the archive, then repeat; or leave them out: "
            "cavra-pipeline rebuild --without-them",
        )

    def _remember_made(self, fresh: Openable, because: str, set_aside_as: str | None) -> None:
        with fresh.reading() as session:
            identity = identity_of(session, where=fresh.where)
            files = session.rows(_PACKAGE, "files_of_commits", {"after": 0})
            _, learned = self._learned(session, files, 0)
            secrets = found_secrets(session)
        with self._state.writing() as connection:
            ingested_digests = {
                (row.drop_day, row.file_name): row.sha256 for row in connection.execute(sa.select(ingested_files))
            }
            there = {(row["drop_day"], row["file_name"]): row["sha256"] for row in files}
            if any(
                there.get(key) != sha256
                for key, sha256 in ingested_digests.items()
                if key in there or self.without_missing
            ):
                # It is not made from what it was made from, so any report may differ.
                note_changes(connection, [datetime(1970, 1, 1, tzinfo=UTC)])
            is_first, are_forgotten = is_empty(connection), self.without_missing
            differing = _differing(ingested_digests, learned, is_first=is_first, are_forgotten=are_forgotten)
            append_entry(connection, Act.REBUILD, differing, at=database_now(connection))
            if self.without_missing:
                connection.execute(sa.delete(ingested_files))
            _store_files(connection, files)
            note_leaks(connection, secrets)
            _insert(connection, identity, because, set_aside_as)


def _insert(connection: sa.Connection, identity: Identity, because: str, set_aside_as: str | None = None) -> None:
    origin = {"made_at": database_now(connection), "made_because": because, "set_aside_as": set_aside_as}
    of_warehouse = {"warehouse_id": identity.warehouse_id, "commit_number": identity.commit_number}
    connection.execute(sa.insert(warehouses).values(**of_warehouse, **origin))


def _differing(
    ingested_digests: Mapping[_FileKey, str], learned: Learned, *, is_first: bool, are_forgotten: bool
) -> Learned:
    """Returns what a rebuilt warehouse holds that differs from the one before; all of it for a new log."""
    there = {(file["drop_day"], file["file_name"]): file for file in learned.files}
    files = [file for key, file in there.items() if is_first or ingested_digests.get(key) != file["sha256"]]
    if is_first or are_forgotten:
        # The others are gone, and either nothing of them is left after a pruning, or nothing is to be known of them.
        files += [
            {
                "drop_day": day, "file_name": name, "received_count": 0, "quarantined_count": 0,
                "sha256": None if are_forgotten else ingested_digests[day, name],
            }
            for day, name in ingested_digests.keys() - there.keys()
        ]  # fmt: skip
    return replace(learned, files=files)


def _store_files(connection: sa.Connection, files: _Rows) -> None:
    if files:
        c = ingested_files.c
        same = c.drop_day == sa.bindparam("day"), c.file_name == sa.bindparam("name")
        keys = [{"day": row["drop_day"], "name": row["file_name"]} for row in files]
        connection.execute(sa.delete(ingested_files).where(*same), keys)
        rows = [
            {**{column.name: row[column.name] for column in c}, "ingested_at": row["ingested_at"].replace(tzinfo=UTC)}
            for row in files
        ]
        connection.execute(sa.insert(ingested_files), rows)


def rebuild(settings: Settings, *, without_missing: bool) -> int:
    """Rebuilds the warehouse from the landing zone and the state.

    Returns:
        How many landing files it was made from.

    Raises:
        WarehouseBusy: Others held it for too long.
        PipelineError: Landing files that were ingested are gone; nothing was changed.
    """
    # The key is made now: while the warehouse is made, no one could ask it for pseudonyms.
    pseudonyms_of(settings)
    keeper = HomeKeeper(settings, without_missing=without_missing)
    warehouse_of(settings, keeper=keeper).remake(REQUESTED)
    with state_of(settings).reading() as connection:
        return int(connection.scalar(sa.select(sa.func.count()).select_from(ingested_files)) or 0)


def losses_since(connection: sa.Connection, since: datetime) -> list[tuple[datetime, str]]:
    """Returns when a lost warehouse was rebuilt, and why, since then."""
    c = warehouses.c
    lost = c.made_at > since, c.made_because.not_in((FIRST, UNKNOWN, REQUESTED))
    rows = connection.execute(sa.select(c.made_at, c.made_because).where(*lost).order_by(c.made_at))
    return [(at, because) for at, because in rows]
