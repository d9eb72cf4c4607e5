"""Opens the state database, makes its tables, and runs transactions in it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from cavra_pipeline.errors import PipelineError, TransientError, os_error_named
from cavra_pipeline.state.tables import now_ms

if TYPE_CHECKING:
    from cavra_pipeline.settings import Settings

#: The newest revision in ``migrations/versions``.
REVISION: Final = "0004"
VERSION_TABLE: Final = "cavra_state_version"
#: Write transactions on PostgreSQL take this advisory lock, as those on SQLite take the file's: one at a time.
_WRITER_LOCK: Final = 0x6361767261
_SQLITE: Final = "sqlite"
_BUSY_SIGNS: Final = ("locked", "lock timeout", "busy")
#: Stands for the revision of a database whose rows are in another one now. Earlier releases take it for a newer one.
_MOVED: Final = "moved"
_VERSION: Final = sa.select(sa.column("version_num", sa.Text)).select_from(sa.table(VERSION_TABLE))


class StateBusy(TransientError):
    """Another process held the state database for longer than the caller was willing to wait."""


class State:
    """The state database of a home, or of all the homes that share it."""

    def __init__(self, url: str, busy_wait_seconds: float = 120.0, *, is_borrowed: bool = False) -> None:
        """Connects to nothing yet.

        Args:
            url: SQLAlchemy URL of an SQLite file or a PostgreSQL database.
            busy_wait_seconds: How long a transaction waits for another.
            is_borrowed: Whether the database is another's: it is read, and not made.
        """
        self.url: Final = sa.make_url(url)
        self._busy_wait_seconds: Final = busy_wait_seconds
        self._is_borrowed: Final = is_borrowed
        self._is_sqlite: Final = self.url.get_backend_name() == _SQLITE
        self._engine: Final = self._make_engine()
        self._is_ready = False

    @property
    def where(self) -> str:
        """The database as messages name it, without a password."""
        return self.url.render_as_string(hide_password=True)

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Opens one consistent view of the database.

        Raises:
            StateBusy: Another process held the database for too long.
            PipelineError: The database can't be reached or read, or belongs to another release.
        """
        self._make_ready()
        with self._errors_named(), self._engine.connect() as connection:
            if not self._is_sqlite:
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """Runs the block in one transaction, alone: all of it is stored, or nothing.

        Raises:
            StateBusy: Another process held the database for too long.
            PipelineError: The database can't be reached or written, or belongs to another release.
        """
        if self._is_borrowed:
            raise PipelineError(
                "it is only read here", where=self.where, remedy="Use state_of without is_borrowed to write"
            )
        self._make_ready()
        with self._errors_named(), self._alone() as connection:
            # A process that runs for long has opened it before.
            if connection.scalar(_VERSION) == _MOVED:
                raise self._moved()
            yield connection

    @contextmanager
    def _alone(self) -> Iterator[sa.Connection]:
        with self._engine.connect() as connection:
            connection = connection.execution_options(cavra_begin="BEGIN IMMEDIATE")
            with connection.begin():
                if not self._is_sqlite:
                    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_WRITER_LOCK)))
                yield connection

    def _make_engine(self) -> sa.Engine:
        # A connection of its own for each transaction: nothing is shared over a fork or between threads.
        if not self._is_sqlite:
            milliseconds = int(self._busy_wait_seconds * 1000)
            arguments: dict[str, Any] = {"options": f"-c lock_timeout={milliseconds}", "connect_timeout": 10}
            return sa.create_engine(self.url, poolclass=NullPool, connect_args=arguments, hide_parameters=True)
        engine = sa.create_engine(
            self.url,
            poolclass=NullPool,
            connect_args={"timeout": self._busy_wait_seconds, "isolation_level": None},
            hide_parameters=True,
        )

        @sa.event.listens_for(engine, "connect")
        def _configure(connection: sqlite3.Connection, _: object) -> None:
            if self._is_borrowed:
                connection.execute("PRAGMA query_only = ON")
                return
            # A name in the folder is not enough: what is stored must outlive a power cut.
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")

        @sa.event.listens_for(engine, "begin")
        def _begin(connection: sa.Connection) -> None:
            connection.exec_driver_sql(connection.get_execution_options().get("cavra_begin", "BEGIN"))

        return engine

    def _make_ready(self) -> None:
        """Creates the tables, once; again if the file has gone since."""
        path = Path(self.url.database) if self._is_sqlite and self.url.database else None
        if self._is_ready and (path is None or path.exists()):
            return
        if path and self._is_borrowed and not path.exists():
            raise self._absent()
        if path and not self._is_borrowed:
            _make_private(path)
        with self._errors_named():
            with self._engine.connect() as connection:
                revision = _revision(connection)
            if revision == _MOVED:
                raise self._moved()
            if revision is None and self._is_borrowed:
                raise self._absent()
            if revision is None:
                self._migrate()
            elif revision != REVISION:
                raise PipelineError(
                    f"the state database has revision {revision}, this release reads {REVISION}",
                    where=self.where,
                    remedy="Use the release of cavra-pipeline that made it, or name another CAVRA_STATE_URL",
                )
        self._is_ready = True

    def _absent(self) -> PipelineError:
        return PipelineError("there is no state database yet", where=self.where, remedy="Run: cavra-pipeline ingest")

    def _moved(self) -> PipelineError:
        return PipelineError(
            "the state was moved to another database",
            where=self.where,
            remedy="Name that one by CAVRA_STATE_URL; this one can be removed",
        )

    def _migrate(self) -> None:
        from alembic.runtime.migration import MigrationContext, MigrationStep
        from alembic.script import ScriptDirectory

        script = ScriptDirectory(str(Path(__file__).with_name("migrations")))

        def steps(revision: str | tuple[str, ...], _: MigrationContext) -> list[MigrationStep]:
            newer = reversed(list(script.iterate_revisions("head", revision, implicit_base=True)))
            return [
                MigrationStep.upgrade_from_script(script.revision_map, script_revision) for script_revision in newer
            ]

        # Alembic's commands keep state of the process, which Dagster's threads use at the same time.
        with self._alone() as connection:
            context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE, "fn": steps})
            context.run_migrations(connection=connection)

    @contextmanager
    def _errors_named(self) -> Iterator[None]:
        """Turns what the driver raises into an error that names the place; values never enter its message."""
        try:
            yield
        except (sa.exc.OperationalError, sa.exc.InterfaceError) as error:
            raise self._error(error) from None
        except sa.exc.DatabaseError as error:
            if type(error) is not sa.exc.DatabaseError:
                raise
            raise PipelineError(
                f"the state database refused a statement ({type(error.orig).__name__})",
                where=self.where,
                remedy="Restore it from a backup; the evidence itself is in the landing zone",
            ) from None

    def _error(self, error: sa.exc.DBAPIError) -> PipelineError:
        text = str(error.orig).lower()
        if any(sign in text for sign in _BUSY_SIGNS):
            return StateBusy(
                f"the state database stayed busy for {self._busy_wait_seconds:g} s",
                where=self.where,
                remedy="Repeat; CAVRA_BUSY_WAIT_SECONDS sets how long to wait",
            )
        # SQLite shares memory through a file, for which a full disk has no room either.
        has_no_room = getattr(error.orig, "sqlite_errorname", "") == "SQLITE_IOERR_SHMSIZE"
        if has_no_room or "disk is full" in text or "no space" in text:
            return PipelineError("there is no room left to write", where=self.where, remedy="Free some disk space")
        if self._is_sqlite:
            return PipelineError(
                f"the state database can't be opened ({type(error.orig).__name__})",
                where=self.where,
                remedy="Give this user read and write access to the file and its folder",
            )
        return TransientError(
            "the state database can't be reached",
            where=self.where,
            remedy="Start it, or correct CAVRA_STATE_URL, then repeat",
        )


def _revision(connection: sa.Connection) -> str | None:
    """The revision of the tables, or None if there are none yet."""
    if not sa.inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.scalar(_VERSION)


def close_for_good(connection: sa.Connection) -> None:
    """Marks the database as one whose rows are in another one now: no one opens it any more."""
    connection.execute(sa.update(sa.table(VERSION_TABLE, sa.column("version_num"))).values(version_num=_MOVED))


def database_now(connection: sa.Connection) -> datetime:
    """Returns the instant by the database's clock, which all hosts that share it share."""
    return datetime.fromtimestamp(connection.scalars(sa.select(now_ms())).one() / 1000, UTC)


def _make_private(path: Path) -> None:
    """Creates the file for its owner alone; SQLite gives its log the same rights."""
    with os_error_named(
        "the state database can't be created",
        where=path,
        remedy="Give this user write access to the folder, or set CAVRA_STATE_URL",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


@cache
def _opened(url: str, busy_wait_seconds: float, is_borrowed: bool) -> State:
    return State(url, busy_wait_seconds, is_borrowed=is_borrowed)


def state_of(settings: Settings, *, is_borrowed: bool = False) -> State:
    """Returns the state database that the settings name; a process makes one object for each.

    Args:
        settings: The home.
        is_borrowed: Whether it is only read, and not made.
    """
    return _opened(settings.state_url, settings.busy_wait_seconds, is_borrowed)
