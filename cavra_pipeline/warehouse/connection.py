"""The one class that owns the DuckDB connection: opens late, closes always, waits for a busy file within a bound.

Readers and writers of every process pass the same gate, a lock file, one at a time: a writer keeps it until it has
committed, a reader only until it has opened, so readers can't starve a writer (docs/decisions/0004-one-writer.md).
"""

from __future__ import annotations

import errno
import fcntl
import os
import random
import re
import threading
import time
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa

from cavra_pipeline.errors import OutOfMemory, PipelineError, TransientError
from cavra_pipeline.sql import statement
from cavra_pipeline.warehouse import schema
from cavra_pipeline.warehouse.memory import Memory
from cavra_pipeline.warehouse.undo import UndoJournal, journal_of, roll_back

_PACKAGE: Final = "cavra_pipeline.warehouse"
_POLL_SECONDS: Final = (0.005, 0.05)
_BUSY_TEXT: Final = (
    "conflicting lock",
    "could not set lock",
    "different configuration",
    "being used by another",
)


#: Inode, size and time of change of each file of a warehouse.
Stamp = tuple[tuple[int, int, int], ...]


class WarehouseBusy(TransientError):
    """The warehouse stayed busy for longer than the caller was willing to wait."""


@dataclass(frozen=True, slots=True)
class Rows:
    """A few rows to lend to statements. For these DuckDB needs no Arrow, which would load pandas to look at a list.

    Attributes:
        types: DuckDB type of each column, in order.
        rows: The rows.
    """

    types: Mapping[str, str]
    rows: Sequence[tuple[object, ...]]


class Session:
    """An open connection. Statements come from ``.sql`` files and take their values as parameters."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, memory: Memory | None = None) -> None:
        self._connection = connection
        self._memory = memory

    def run(self, package: str, name: str, parameters: dict[str, object] | None = None, **parts: str) -> None:
        """Runs a statement for its effect."""
        self._execute(statement(package, name, **parts), parameters)

    def rows(
        self, package: str, name: str, parameters: dict[str, object] | None = None, **parts: str
    ) -> list[dict[str, object]]:
        """Returns every row of a statement as a dict by column name."""
        return list(self.stream(package, name, parameters, **parts))

    def stream(
        self, package: str, name: str, parameters: dict[str, object] | None = None, **parts: str
    ) -> Iterator[dict[str, Any]]:
        """Yields the rows of a statement a thousand at a time, for results too large to hold."""
        result = self._execute(statement(package, name, **parts), parameters)
        names = [column[0] for column in result.description or ()]
        while rows := result.fetchmany(1000):
            yield from (dict(zip(names, row, strict=True)) for row in rows)

    def tuples(self, sql: str, parameters: dict[str, object] | None = None) -> list[tuple[object, ...]]:
        """Returns every row of a short query that is written where it is asked."""
        return self._execute(sql, parameters).fetchall()

    def known(self) -> dict[Hashable, Any]:
        """Returns what was worked out from the evidence as it is, to add to; nothing without a memory."""
        if self._memory is None:
            return {}
        return self._memory.of(str(self.rows(_PACKAGE, "evidence_mark")[0]["mark"]))

    def execute(self, sql: str) -> None:
        """Runs a statement that is made from a declared table, such as a table's definition."""
        self._execute(sql, None)

    def interrupt(self) -> None:
        """Ends the statement that runs, from another thread."""
        self._connection.interrupt()

    @contextmanager
    def given(self, **tables: pa.Table | pa.RecordBatchReader | Rows) -> Iterator[None]:
        """Lends tables to the statements run inside, under their names."""
        for name, table in tables.items():
            if isinstance(table, Rows):
                self._make(name, table)
            else:
                self._connection.register(name, table)
        try:
            yield
        finally:
            # An aborted transaction refuses this too; the failure that aborted it is the one to show.
            with suppress(duckdb.TransactionException):
                for name, table in tables.items():
                    if isinstance(table, Rows):
                        self.run(_PACKAGE, "drop_given", table=name)
                    else:
                        self._connection.unregister(name)

    def _make(self, name: str, table: Rows) -> None:
        columns = ", ".join(f"unnest(${column}::{type_}[]) AS {column}" for column, type_ in table.types.items())
        values = zip(*table.rows, strict=True) if table.rows else [()] * len(table.types)
        lists: dict[str, object] = {
            column: list(of_column) for column, of_column in zip(table.types, values, strict=True)
        }
        self.run(_PACKAGE, "create_given", lists, table=name, columns=columns)

    def _execute(self, sql: str, parameters: dict[str, object] | None) -> duckdb.DuckDBPyConnection:
        try:
            return self._connection.execute(sql, parameters) if parameters else self._connection.execute(sql)
        except duckdb.ConversionException as error:
            raise RuntimeError(f"a statement failed ({type(error).__name__})") from None
        except duckdb.OutOfMemoryException:
            raise OutOfMemory("the warehouse") from None
        except duckdb.InterruptException:
            raise TransientError(
                "the question took too long", where="the warehouse", remedy="Ask for less, or repeat it later"
            ) from None


@dataclass(frozen=True, slots=True)
class Warehouse:
    """The DuckDB file of a home.

    Attributes:
        path: The file; made, with its schema, at first use.
        busy_wait_seconds: How long to wait while others hold it.
        threads: DuckDB worker threads, or None for one a core.
        memory_limit: DuckDB memory limit, or None for its default.
        memory: What readers have worked out from the evidence, or None to work everything out each time.
    """

    path: Path
    busy_wait_seconds: float = 120.0
    threads: int | None = None
    memory_limit: str | None = None
    memory: Memory | None = field(default=None, compare=False)

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

    def at(self, path: Path) -> Warehouse:
        """Returns a warehouse in another file with the same limits."""
        return replace(self, path=path)

    def open_copy(self) -> duckdb.DuckDBPyConnection:
        """Opens a file that nobody else knows of, read-only, without the gate; the caller closes it."""
        return self._connect(time.monotonic(), read_only=True)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Opens the file read-only; any number of processes may read at once.

        Raises:
            WarehouseBusy: A writer held it for longer than ``busy_wait_seconds``.
            PipelineError: The file is not a warehouse, or can't be read.
        """
        deadline = time.monotonic() + self.busy_wait_seconds
        connection = self._open_to_read(deadline)
        try:
            yield Session(connection, self.memory)
        finally:
            connection.close()

    def _open_to_read(self, deadline: float) -> duckdb.DuckDBPyConnection:
        """Opens the file read-only; makes it, or brings its schema up to date, if it must."""
        while True:
            if self.path.exists():
                with self._gate("read", deadline):
                    self._roll_back()
                    connection = self._connect(deadline, read_only=True)
                if schema.version(Session(connection)) == schema.VERSION:
                    return connection
                connection.close()
            with self.writing("prepare the schema"):
                pass

    @contextmanager
    def writing(self, act: str) -> Iterator[Session]:
        """Opens the file alone and runs the block in one transaction: all of it is kept, or nothing.

        Args:
            act: What the caller does, for whoever has to wait for it.

        Raises:
            WarehouseBusy: Others held it for longer than ``busy_wait_seconds``.
            PipelineError: The file is not a warehouse, can't be written, or the disk is full.
        """
        deadline = time.monotonic() + self.busy_wait_seconds
        with self._gate(act, deadline), self._alone(deadline) as connection:
            try:
                session = Session(connection)
                found = schema.version(session)
                session.execute("BEGIN")
                schema.migrate(session, found, where=str(self.path))
                yield session
                session.execute("COMMIT")
            except (duckdb.IOException, duckdb.TransactionException) as error:
                raise self._refused(error) from None

    @contextmanager
    def _alone(self, deadline: float) -> Iterator[duckdb.DuckDBPyConnection]:
        """Opens the file for writing and closes it, which writes a checkpoint, under an undo journal."""
        self._roll_back()
        connection = self._connect(deadline, read_only=False)
        journal: UndoJournal | None = None
        is_over = False
        try:
            try:
                journal = UndoJournal(self.path)
                journal.write(*_metadata_blocks(connection))
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                    raise self._no_room() from None
                raise PipelineError(
                    f"what protects the file against a crash can't be written ({error.strerror})",
                    where=str(journal_of(self.path)),
                    remedy="Give this user write access to the folder; nothing was changed",
                ) from None
            yield connection
        finally:
            try:
                connection.close()
                is_over = True
            finally:
                if journal is not None:
                    journal.close(is_over=is_over)

    def _roll_back(self) -> None:
        try:
            roll_back(self.path)
        except OSError as error:
            raise PipelineError(
                f"what a killed process left can't be undone ({error.strerror})",
                where=str(self.path),
                remedy="Give this user write access to the file and its folder, and free some disk space",
            ) from None

    @contextmanager
    def replacing(self, act: str) -> Iterator[tuple[Session, Path]]:
        """Opens the file alone, outside a transaction; what the block writes to the path given takes its place.

        Args:
            act: What the caller does, for whoever has to wait for it.

        Raises:
            WarehouseBusy: Others held it for longer than ``busy_wait_seconds``.
            PipelineError: The file is not a warehouse, can't be written, or the disk is full; it is as it was.
        """
        with self.writing("prepare the schema"):
            pass
        deadline = time.monotonic() + self.busy_wait_seconds
        fresh = self.path.with_name(self.path.name + ".fresh")
        with self._gate(act, deadline):
            # What a killed process left of an earlier attempt is worth nothing.
            _remove(fresh)
            try:
                with self._alone(deadline) as connection:
                    session = Session(connection)
                    # Nothing of the old file may stand in its log, which would then be read into the new one.
                    session.execute("CHECKPOINT")
                    yield session, fresh
            except (duckdb.IOException, duckdb.TransactionException) as error:
                _remove(fresh)
                raise self._refused(error) from None
            _sync(fresh)
            fresh.replace(self.path)
            _sync(self.path.parent)

    def _connect(self, deadline: float, *, read_only: bool) -> duckdb.DuckDBPyConnection:
        # A file of another make must be refused, not fetch an extension for itself from the network.
        config: dict[str, str | bool | int | float | list[str]] = {
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            # Row groups that a statement holds back before it writes them: the five of the default take 500 MB more.
            "write_buffer_row_group_count": 1,
        }
        if self.threads:
            config["threads"] = self.threads
        if self.memory_limit:
            config["memory_limit"] = self.memory_limit
        while True:
            try:
                return duckdb.connect(str(self.path), read_only=read_only, config=config)
            except (duckdb.IOException, duckdb.ConnectionException) as error:
                if not any(text in str(error).lower() for text in _BUSY_TEXT):
                    raise self._refused(error) from None
                if time.monotonic() >= deadline:
                    raise self._busy(_holder_in(str(error))) from None
            time.sleep(random.uniform(*_POLL_SECONDS))  # noqa: S311 -- jitter

    def _busy(self, holder: str) -> WarehouseBusy:
        return WarehouseBusy(
            f"the warehouse stayed busy for {self.busy_wait_seconds:g} s; held by {holder}",
            where=str(self.path),
            remedy="Close that program or wait for it, then repeat; CAVRA_BUSY_WAIT_SECONDS sets how long to wait",
        )

    def _no_room(self) -> PipelineError:
        return PipelineError(
            "there is no room left to write",
            where=str(self.path),
            remedy="Free some disk space and repeat; nothing was changed",
        )

    def _refused(self, error: duckdb.Error) -> PipelineError:
        text = str(error).lower()
        if any(sign in text for sign in ("no space", "disk is full", "could not write")):
            return self._no_room()
        if "permission" in text or "read-only" in text:
            what, remedy = (
                "the file can't be opened",
                "Give this user read and write access to it and its folder",
            )
        elif (
            "not a valid duckdb" in text
            or "serialize" in text
            or "corrupt" in text
            or "magic" in text
            or "extension" in text
        ):
            what = "the file is not a DuckDB database this version reads"
            remedy = "Move it away and ingest again; the landing zone holds the evidence"
        else:
            what, remedy = (
                f"DuckDB refused the file ({type(error).__name__})",
                "Check the path, the disk and its permissions",
            )
        return PipelineError(what, where=str(self.path), remedy=remedy)

    @contextmanager
    def _gate(self, act: str, deadline: float) -> Iterator[None]:
        """Holds the lock file. The holder writes its process id and act into it for those who wait."""
        path = self.path.with_name(self.path.name + ".gate")
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise PipelineError(
                f"the folder can't be written ({error.strerror})",
                where=str(path.parent),
                remedy="Give this user write access to it, or set CAVRA_HOME to another folder",
            ) from None
        try:
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except OSError as error:
                    if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                        raise
                if time.monotonic() >= deadline:
                    raise self._busy(os.pread(handle, 200, 0).decode(errors="replace").strip() or "another process")
                time.sleep(random.uniform(*_POLL_SECONDS))  # noqa: S311 -- jitter
            note = f"process {os.getpid()} thread {threading.get_ident()} ({act})\n".encode()
            os.ftruncate(handle, 0)
            os.pwrite(handle, note, 0)
            yield
        finally:
            os.close(handle)


def _metadata_blocks(connection: duckdb.DuckDBPyConnection) -> tuple[int, list[int]]:
    """The size of a block, and the blocks that the next checkpoint may write over."""
    ((block_size,),) = connection.execute("SELECT block_size FROM pragma_database_size()").fetchall()
    found = connection.execute("SELECT block_id FROM pragma_metadata_info()").fetchall()
    return int(block_size), [int(block) for (block,) in found]


def _remove(path: Path) -> None:
    """Removes a DuckDB file and its log."""
    for each in (path, path.with_name(path.name + ".wal")):
        each.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Makes sure that a file, or the names in a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _holder_in(message: str) -> str:
    """What DuckDB says of the process that holds the file."""
    found = re.search(r"held in (\S+) \(PID (\d+)\)", message)
    return f"process {found[2]} ({Path(found[1]).name})" if found else "another program"
