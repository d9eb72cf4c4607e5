"""The lake: tables as Parquet files with their catalog in a database, for homes on many hosts.

Why each step is as it is: docs/decisions/0028-lake.md.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Final

import duckdb

from cavra_pipeline.bucket_access import CORRECT_KEY, REFUSED, START_SERVER
from cavra_pipeline.errors import PipelineError, TransientError, UsageError
from cavra_pipeline.state import State
from cavra_pipeline.state.leases import Lease, LeaseLost, committing
from cavra_pipeline.warehouse import lake_engine, schema
from cavra_pipeline.warehouse.base import (
    MISSING,
    Compacted,
    Keeper,
    Openable,
    Warehouse,
    WarehouseBusy,
    WriteConflict,
    has_sign,
)
from cavra_pipeline.warehouse.lake_address import Lake
from cavra_pipeline.warehouse.session import Memory, Session

_PACKAGE: Final = "cavra_pipeline.warehouse"


class _Absent(PipelineError):
    """The lake is not there yet."""


@dataclass(frozen=True, slots=True)
class _Fault:
    """What DuckDB or libpq says in its own words, and what is said instead.

    Attributes:
        kind: The error.
        what: What is wrong.
        remedy: What to do.
        signs: What the message holds, in lower case.
        where: The place, if it is not the lake.
    """

    kind: type[PipelineError]
    what: str
    remedy: str
    signs: tuple[str, ...]
    where: str | None = None


_DATA: Final = "CAVRA_DATA_URL"
_CONFLICT: Final = _Fault(
    WriteConflict,
    "another writer committed meanwhile, so nothing was written",
    "Repeat: what was committed stays, and the rest is written",
    ("transaction conflict", "maximum retry count", "could not serialize"),
)
#: The first that fits counts.
_FAULTS: Final = (
    _Fault(_Absent, "there is no warehouse yet", "Run: cavra-pipeline ingest", ("explicitly disabled",)),
    _Fault(
        UsageError,
        "the lake's data files are in another place",
        "Set it to the place with which the lake was made, as on the other hosts",
        ("data_path parameter",),
        _DATA,
    ),
    _CONFLICT,
    _Fault(
        PipelineError,
        REFUSED,
        CORRECT_KEY,
        ("http 401", "http 403", "http code 401", "http code 403"),
        _DATA,
    ),
    _Fault(
        PipelineError,
        "the catalog's server refuses the user, the password or the database",
        "Correct CAVRA_WAREHOUSE_URL",
        ("authentication failed", "no pg_hba.conf entry", 'role "', 'fatal:  database "'),
    ),
    _Fault(
        PipelineError,
        "a data file of the lake is missing or damaged",
        "Restore it from a backup, or run: cavra-pipeline rebuild",
        (
            "cannot open file", "invalid footer", "no magic bytes", "could not read enough bytes",
            "http 404", "http code 404",
        ),
    ),
    _Fault(
        TransientError,
        "the bucket of the data files can't be reached",
        START_SERVER,
        ("http 5", "http code 5", "error for http", "http error"),
        _DATA,
    ),
    _Fault(
        TransientError,
        "the lake's catalog can't be reached",
        "Start it, or correct CAVRA_WAREHOUSE_URL, then repeat",
        (
            "unable to connect", "could not connect", "server closed", "terminating connection", "connection refused",
            "failed to execute query", "database is locked", "shutting down", "starting up",
            # What DuckDB says where a connection that it had kept is gone.
            "no connection to the server", "unsuccessful query result", "has been invalidated",
            "within vector of size 0",
        ),
    ),
    _Fault(
        PipelineError,
        "there is no room left to write",
        "Free some disk space and repeat; nothing was changed",
        ("no space", "disk is full"),
    ),
)  # fmt: skip
#: Snapshots are kept for so long, and files that no snapshot names: a reader that has begun finds what it reads.
_KEPT_HOURS: Final = 24


@dataclass(frozen=True, slots=True)
class LakeWarehouse(Warehouse):
    """The lake of one or many homes.

    Attributes:
        lake: Where it is.
        state: The state database of the same homes, which says whose turn it is to write.
        busy_wait_seconds: How long to wait for other writers.
        memory: What readers have worked out from the evidence, or None to work everything out each time.
        keeper: Rebuilds it; None for one that is filled by its caller.
        is_borrowed: Whether it is another's: it is read, and neither made nor rebuilt.
    """

    lake: Lake
    state: State
    busy_wait_seconds: float = 120.0
    memory: Memory | None = field(default=None, compare=False)
    keeper: Keeper | None = field(default=None, compare=False)
    is_borrowed: bool = False

    @property
    def where(self) -> str:
        """The address, without user and password."""
        return self.lake.where

    def exists(self) -> bool:
        """Returns whether the lake holds a warehouse."""
        return self._why_not() != MISSING

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Opens one snapshot, read-only; it is made first if it must be.

        Raises:
            PipelineError: The lake can't be opened, or a file of it is gone.
            TransientError: Its catalog can't be reached.
        """
        with ExitStack() as stack:
            session = self._opened(stack)
            if session is None:
                self._renew()
                session = stack.enter_context(self._transaction(read_only=True))
            yield session

    @contextmanager
    def writing(self, act: str) -> Iterator[Session]:
        """Runs the block in one transaction while no other writer has its turn.

        Raises:
            WarehouseBusy: Others had their turn for longer than ``busy_wait_seconds``.
            WriteConflict: Another writer committed meanwhile; nothing was written.
            PipelineError: The lake can't be written, or what it is made from is gone.
        """
        with self._turn(act) as lease:
            if (reason := self._why_not()) is not None:
                self._make(lease, reason)
            with self._transaction(read_only=False) as session:
                identity = self.keeper.beginning(session) if self.keeper else None
                yield session
                schema.count_commit(session)
                self._commit(session, lease)
        if self.keeper and identity:
            self._remember(self.keeper, identity)

    def remake(self, because: str) -> None:
        """Rebuilds the tables in one transaction; readers see the old ones until it is committed."""
        with self._turn("rebuild") as lease:
            self._make(lease, because)

    def compact(self) -> Compacted:
        """Writes inlined rows to files, merges small files, and removes what no reader can need any more."""
        with self._turn("compact"):
            before = self._data_bytes()
            for name in ("flush_inlined", "merge_files", "expire_snapshots", "remove_old_files"):
                with self._errors(), self._cursor(makes=False) as session:
                    session.run(_PACKAGE, f"lake_{name}", lake=lake_engine.NAME, hours=str(_KEPT_HOURS))
            return Compacted(before, self._data_bytes())

    def _data_bytes(self) -> int:
        with self._transaction(read_only=True) as session:
            (size,) = session.rows(_PACKAGE, "lake_size", lake=lake_engine.NAME)
        return int(str(size["data_bytes"]))

    def _opened(self, stack: ExitStack) -> Session | None:
        """Opens a snapshot for as long as the stack is; returns None, with nothing open, if the lake must be made."""
        try:
            session = stack.enter_context(self._transaction(read_only=True))
        except _Absent:
            return None
        if self._reason(session) is None:
            return session
        stack.close()
        return None

    def _why_not(self) -> str | None:
        """Returns why the lake must be made first, as a word of an alert, or None."""
        try:
            with self._transaction(read_only=True) as session:
                return self._reason(session)
        except _Absent:
            return MISSING

    def _reason(self, session: Session) -> str | None:
        try:
            identity = schema.identity_of(session, where=self.where)
        except duckdb.CatalogException:
            return MISSING
        return self.keeper.reason_to_remake(identity) if self.keeper else None

    def _renew(self) -> None:
        """Makes the lake in its writer's turn, unless somebody has just done so."""
        if self.is_borrowed:
            raise PipelineError("there is no warehouse yet", where=self.where, remedy="Run: cavra-pipeline ingest")
        with self._turn("make the warehouse") as lease:
            if (reason := self._why_not()) is not None:
                self._make(lease, reason)

    def _make(self, lease: Lease, because: str) -> None:
        with self._transaction(read_only=False, makes=True) as session:
            schema.drop(session)
            schema.create(session, schema.IN_LAKE)
            if self.keeper:
                self.keeper.fill(_Unfinished(session, self.where), because=because, set_aside_as=None)
            self._commit(session, lease)

    def _commit(self, session: Session, lease: Lease) -> None:
        try:
            lease.renew()
        except LeaseLost:
            raise self._said(_CONFLICT) from None
        session.execute("COMMIT")

    def _turn(self, act: str) -> AbstractContextManager[Lease]:
        def busy(holder: str) -> WarehouseBusy:
            return WarehouseBusy(
                f"the warehouse stayed busy for {self.busy_wait_seconds:g} s; held by {holder}",
                where=self.where,
                remedy="Wait for it, then repeat; CAVRA_BUSY_WAIT_SECONDS sets how long to wait",
            )

        return committing(self.state, act, time.monotonic() + self.busy_wait_seconds, busy)

    @contextmanager
    def _transaction(self, *, read_only: bool, makes: bool = False) -> Iterator[Session]:
        """Opens a transaction that is rolled back unless the block commits it."""
        with self._errors(), self._cursor(makes=makes, is_reader=read_only) as session:
            session.execute("BEGIN TRANSACTION READ ONLY" if read_only else "BEGIN")
            yield session

    @contextmanager
    def _cursor(self, *, makes: bool, is_reader: bool = False) -> Iterator[Session]:
        connection = lake_engine.cursor(self.lake, makes=makes)
        try:
            yield Session(connection, self.memory if is_reader else None, is_reader=is_reader)
        finally:
            lake_engine.close(self.lake, connection)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turns what DuckDB raises into errors that name the place; its text may hold an address or a value."""
        try:
            yield
        except duckdb.Error as error:
            if named := self._named(error):
                raise named from None
            raise

    def _named(self, error: duckdb.Error) -> PipelineError | None:
        """Returns the error to raise instead, or None for a statement that is wrong."""
        for fault in _FAULTS:
            if has_sign(error, fault.signs):
                return self._said(fault)
        # The catalog's failures have no class of their own.
        if type(error) is duckdb.Error or isinstance(error, duckdb.IOException | duckdb.TransactionException):
            return PipelineError(
                f"DuckDB can't use the lake ({type(error).__name__})",
                where=self.where,
                remedy="Run: cavra-pipeline doctor; then check the catalog's database and the place of the data files",
            )
        return None

    def _said(self, fault: _Fault) -> PipelineError:
        return fault.kind(fault.what, where=fault.where or self.where, remedy=fault.remedy)


@dataclass(frozen=True, slots=True)
class _Unfinished(Openable):
    """A lake that is being made: all that is read and written is in one transaction, which stays open."""

    session: Session
    place: str

    @property
    def where(self) -> str:
        """The lake."""
        return self.place

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Yields the open transaction."""
        yield self.session

    @contextmanager
    def writing(self, act: str) -> Iterator[Session]:  # noqa: ARG002 -- no one waits for it
        """Yields the open transaction and counts what was written as a commit."""
        yield self.session
        schema.count_commit(self.session)
