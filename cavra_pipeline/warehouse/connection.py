"""Opens a home's DuckDB file, only when it is needed, closes it always, and waits a bounded time for its holder.

Readers and writers of every process pass the same gate, a lock file, one at a time: a writer keeps it until it has
committed, a reader only until it has opened, so readers can't starve a writer (docs/decisions/0004-one-writer.md).
The file is derived: one that is missing, or that DuckDB refuses, is rebuilt by the ``Keeper``.
"""

from __future__ import annotations

import logging
import random
import re
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import duckdb

from cavra_pipeline.errors import PipelineError
from cavra_pipeline.sql import literal
from cavra_pipeline.warehouse import schema
from cavra_pipeline.warehouse.base import (
    MISSING,
    REFUSED,
    Compacted,
    Keeper,
    Warehouse,
    WarehouseBusy,
    WarehouseLost,
    has_sign,
)
from cavra_pipeline.warehouse.files import remove, sync
from cavra_pipeline.warehouse.gate import POLL_SECONDS, gate
from cavra_pipeline.warehouse.schema import Identity
from cavra_pipeline.warehouse.session import Memory, Session

_log = logging.getLogger("cavra_pipeline.warehouse")

_BUSY_SIGNS: Final = ("conflicting lock", "could not set lock", "different configuration", "being used by another")
#: DuckDB checks every block that it reads, and may refuse the whole file when it opens it.
_DAMAGE_SIGNS: Final = ("corrupt database file", "could not read enough bytes")
_REFUSAL_SIGNS: Final = (*_DAMAGE_SIGNS, "not a valid duckdb", "serializ", "version number", "extension", "magic")
_NO_ROOM_SIGNS: Final = ("no space", "disk is full", "could not write")

#: Inode, size and time of change of each file of a warehouse.
Stamp = tuple[tuple[int, int, int], ...]


class _Refused(Exception):
    """DuckDB can't use the file; it holds nothing that can't be rebuilt."""


@dataclass(frozen=True, slots=True)
class FileWarehouse(Warehouse):
    """The DuckDB file of a home.

    Attributes:
        path: The file; made at first use.
        busy_wait_seconds: How long to wait while others hold it.
        threads: DuckDB worker threads, or None for one a core.
        memory_limit: DuckDB memory limit, or None for its default.
        memory: What readers have worked out from the evidence, or None to work everything out each time.
        keeper: Rebuilds the file; None for a file that is filled by its caller.
        is_borrowed: Whether the file is another's: it is neither made nor set aside.
    """

    path: Path
    busy_wait_seconds: float = 120.0
    threads: int | None = None
    memory_limit: str | None = None
    memory: Memory | None = field(default=None, compare=False)
    keeper: Keeper | None = field(default=None, compare=False)
    is_borrowed: bool = False

    @property
    def where(self) -> str:
        """The file."""
        return str(self.path)

    def exists(self) -> bool:
        """Returns whether the file is there."""
        return self.path.exists()

    @property
    def log(self) -> Path:
        """DuckDB's log beside the file; there only while it is written, or after a writer was killed."""
        return self.path.with_name(self.path.name + ".wal")

    def stamp(self) -> Stamp:
        """Returns marks that change whenever the file, or the log of a writer that was killed, does; empty if none."""
        marks = []
        for path in (self.path, self.log):
            try:
                stat = path.stat()
            except OSError:
                continue
            marks.append((stat.st_ino, stat.st_size, stat.st_mtime_ns))
        return tuple(marks)

    def at(self, path: Path) -> FileWarehouse:
        """Returns a warehouse in another file with the same limits, which is never rebuilt."""
        return replace(self, path=path, keeper=None)

    def open_copy(self) -> duckdb.DuckDBPyConnection:
        """Opens a private copy read-only, without the gate; the caller closes it."""
        return self._connect(time.monotonic(), read_only=True)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Opens the file read-only; any number of processes may read at once.

        Raises:
            WarehouseBusy: A writer held it for longer than ``busy_wait_seconds``.
            PipelineError: The file can't be read, or what it is made from is gone.
            WarehouseLost: The file is damaged; it was set aside, and the next command rebuilds it. One that is lent
                stays, which is a PipelineError.
        """
        deadline = time.monotonic() + self.busy_wait_seconds
        with self._gate("read", deadline):
            connection, _ = self._open(deadline, read_only=True)
        try:
            yield Session(connection, self.memory, is_reader=True)
        except duckdb.Error as error:
            if not has_sign(error, _DAMAGE_SIGNS):
                raise
            connection.close()
            if self.is_borrowed:
                raise PipelineError(
                    "the file is damaged", where=str(self.path), remedy="Move it away, then run: cavra-pipeline ingest"
                ) from None
            with self._gate("set aside a damaged file", deadline):
                raise self._damaged() from None
        finally:
            connection.close()

    @contextmanager
    def writing(self, act: str) -> Iterator[Session]:
        """Opens the file alone and runs the block in one transaction: all of it is committed, or nothing.

        Args:
            act: What the caller does, for whoever has to wait for it.

        Raises:
            WarehouseBusy: Others held it for longer than ``busy_wait_seconds``.
            PipelineError: The file can't be written, the disk is full, or what the file is made from is gone.
            WarehouseLost: The file is damaged; it was set aside, and the next command rebuilds it.
            WriteConflict: It was lost after the commit. Nothing else is raised, once the commit is made, for what the
                keeper could not remember of it.
        """
        deadline = time.monotonic() + self.busy_wait_seconds
        with self._gate(act, deadline):
            connection, _ = self._open(deadline, read_only=False)
            try:
                session = Session(connection)
                session.execute("BEGIN")
                identity = self.keeper.beginning(session) if self.keeper else None
                yield session
                schema.count_commit(session)
                session.execute("COMMIT")
            except duckdb.Error as error:
                if has_sign(error, _DAMAGE_SIGNS):
                    connection.close()
                    raise self._damaged() from None
                if isinstance(error, duckdb.IOException | duckdb.TransactionException):
                    raise self._unusable(error) from None
                raise
            finally:
                connection.close()
        if self.keeper and identity:
            self._remember(self.keeper, identity)

    def _open(self, deadline: float, *, read_only: bool) -> tuple[duckdb.DuckDBPyConnection, Identity]:
        """Opens the file under the gate, after it was made if it must be."""
        because, keep_as = MISSING, None
        if self.path.exists():
            try:
                connection, identity = self._connected(deadline, read_only=read_only)
                with ExitStack() as unless_used:
                    unless_used.callback(connection.close)
                    reason = self.keeper.reason_to_remake(identity) if self.keeper else None
                    if reason is None:
                        unless_used.pop_all()
                        return connection, identity
                because = reason
            except _Refused:
                if not self.keeper:
                    raise self._foreign() from None
                because = REFUSED
            keep_as = self._name_aside()
        elif self.is_borrowed:
            raise PipelineError("there is no warehouse yet", where=str(self.path), remedy="Run: cavra-pipeline ingest")
        self._make(because, keep_as)
        try:
            return self._connected(deadline, read_only=read_only)
        except _Refused:
            raise self._foreign() from None

    def _connected(self, deadline: float, *, read_only: bool) -> tuple[duckdb.DuckDBPyConnection, Identity]:
        connection = self._connect(deadline, read_only=read_only)
        try:
            return connection, schema.identity_of(Session(connection), where=str(self.path))
        except duckdb.Error as error:
            connection.close()
            raise _Refused(type(error).__name__) from None
        except BaseException:
            connection.close()
            raise

    def _make(self, because: str, keep_as: str | None) -> None:
        """Builds the whole file beside its place, then moves it there; a failure leaves the old one as it was."""
        fresh = self.at(self._beside("fresh"))
        remove(fresh.path)
        with closing(fresh._connect(time.monotonic(), read_only=False)) as connection:
            # In one transaction: each statement alone would wait for the disk.
            connection.execute("BEGIN")
            schema.create(Session(connection), schema.IN_FILE)
            connection.execute("COMMIT")
        if self.keeper:
            self.keeper.fill(fresh, because=because, set_aside_as=keep_as)
        self._put_in_place(fresh.path, keep_as)

    @contextmanager
    def replacing(self, act: str) -> Iterator[tuple[Session, Path]]:
        """Opens the file alone, outside a transaction; what the block writes to the path given takes its place.

        Args:
            act: What the caller does, for whoever has to wait for it.

        Raises:
            WarehouseBusy: Others held it for longer than ``busy_wait_seconds``.
            PipelineError: The file can't be written, or the disk is full; it is as it was.
        """
        deadline = time.monotonic() + self.busy_wait_seconds
        fresh = self._beside("fresh")
        with self._gate(act, deadline):
            remove(fresh)
            try:
                connection, _ = self._open(deadline, read_only=False)
                with closing(connection):
                    session = Session(connection)
                    # The log must hold nothing of the old file: it would be read into the new one.
                    session.execute("CHECKPOINT")
                    yield session, fresh
            except (duckdb.IOException, duckdb.TransactionException) as error:
                remove(fresh)
                raise self._unusable(error) from None
            self._put_in_place(fresh)

    def remake(self, because: str, *, keep_as: str | None = None) -> None:
        """Rebuilds the file from what it is derived from.

        Args:
            because: Why, as a word of an alert.
            keep_as: Name that the old file gets beside the new one; None to remove it.

        Raises:
            WarehouseBusy: Others held it for longer than ``busy_wait_seconds``.
            PipelineError: Something that it is made from is gone; the file is as it was.
        """
        with self._gate("rebuild", time.monotonic() + self.busy_wait_seconds):
            self._make(because, keep_as)

    def compact(self) -> Compacted:
        """Rewrites the file: every table, view, macro, comment and row as it was, in a file without holes.

        DuckDB reuses the space of replaced rows but does not shrink the file, and many small commits leave many
        small row groups (docs/performance.md). Everybody else waits meanwhile.

        Raises:
            WarehouseBusy: Others held the file for longer than ``busy_wait_seconds``.
            PipelineError: The file is not a warehouse, or there is no room for the second file; it is as it was.
        """
        with self.replacing("compact") as (session, fresh):
            before = self.path.stat().st_size
            ((name,),) = session.tuples("SELECT current_database()")
            session.execute(f"ATTACH {literal(str(fresh))} AS fresh")
            session.execute(f'COPY FROM DATABASE "{name}" TO fresh')
            session.execute("DETACH fresh")
        return Compacted(before, self.path.stat().st_size)

    def _beside(self, suffix: str) -> Path:
        return self.path.with_name(f"{self.path.name}.{suffix}")

    def _put_in_place(self, fresh: Path, keep_as: str | None = None) -> None:
        sync(fresh)
        if keep_as:
            self._set_aside(keep_as)
        # A log without its file would be read into the new one.
        self.log.unlink(missing_ok=True)
        fresh.replace(self.path)
        sync(self.path.parent)
        self._beside("fresh.gate").unlink(missing_ok=True)

    def _name_aside(self) -> str:
        """Returns a name with the time at which the file was written last."""
        written_at = datetime.fromtimestamp(self.path.stat().st_mtime, UTC)
        return f"{self.path.name}.refused-{written_at:%Y%m%dT%H%M%S.%fZ}"

    def _set_aside(self, name: str) -> None:
        """Gives the file and its log another name."""
        for path in (self.path, self.log):
            if path.exists():
                path.rename(path.with_name(path.name.replace(self.path.name, name, 1)))
        _log.warning("%s was set aside as %s", self.path, name)

    def _damaged(self) -> WarehouseLost:
        """Sets a damaged file aside under the gate; another process may have done so."""
        if self.path.exists():
            self._set_aside(self._name_aside())
        return WarehouseLost(
            "the file is damaged and was set aside",
            where=str(self.path),
            remedy="Repeat: the next command rebuilds it from the landing zone",
        )

    def _connect(self, deadline: float, *, read_only: bool) -> duckdb.DuckDBPyConnection:
        # A file of another make must be refused, not fetch an extension for itself from the network.
        config: dict[str, str | bool | int | float | list[str]] = {
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            # Row groups that a statement holds back before it writes them: the five of the default take 500 MB more.
            "write_buffer_row_group_count": 1,
            # Of what every release reads, only the newest has the compression that the schema names.
            "storage_compatibility_version": "latest",
        }
        if self.threads:
            config["threads"] = self.threads
        if self.memory_limit:
            config["memory_limit"] = self.memory_limit
        while True:
            try:
                return duckdb.connect(str(self.path), read_only=read_only, config=config)
            except duckdb.Error as error:
                if has_sign(error, _BUSY_SIGNS):
                    if time.monotonic() >= deadline:
                        raise self._busy(_holder_in(str(error))) from None
                elif has_sign(error, _REFUSAL_SIGNS):
                    raise _Refused(type(error).__name__) from None
                else:
                    raise self._unusable(error) from None
            time.sleep(random.uniform(*POLL_SECONDS))  # noqa: S311 -- jitter

    def _busy(self, holder: str) -> WarehouseBusy:
        return WarehouseBusy(
            f"the warehouse stayed busy for {self.busy_wait_seconds:g} s; held by {holder}",
            where=str(self.path),
            remedy="Close that program or wait for it, then repeat; CAVRA_BUSY_WAIT_SECONDS sets how long to wait",
        )

    def _foreign(self) -> PipelineError:
        return PipelineError(
            "the file is not a DuckDB database this version reads",
            where=str(self.path),
            remedy="Move it away; the landing zone holds the evidence",
        )

    def _unusable(self, error: duckdb.Error) -> PipelineError:
        text = str(error).lower()
        if has_sign(error, _NO_ROOM_SIGNS):
            what, remedy = "there is no room left to write", "Free some disk space and repeat; nothing was changed"
        elif "permission" in text or "read-only" in text:
            what, remedy = "the file can't be opened", "Give this user read and write access to it and its folder"
        else:
            what = f"DuckDB can't open the file ({type(error).__name__})"
            remedy = "Check the path, the disk and its permissions"
        return PipelineError(what, where=str(self.path), remedy=remedy)

    def _gate(self, act: str, deadline: float) -> AbstractContextManager[None]:
        return gate(self._beside("gate"), act, deadline, self._busy)


def _holder_in(message: str) -> str:
    """Returns the name of the process that holds the file, as DuckDB's message gives it."""
    match = re.search(r"held in (\S+) \(PID (\d+)\)", message)
    return f"process {match[2]} ({Path(match[1]).name})" if match else "another program"
