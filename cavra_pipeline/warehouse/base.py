"""What everybody asks of a warehouse, be it a file (``connection.py``) or a lake (``lake.py``)."""

from __future__ import annotations

import logging
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, TypeVar, Unpack

import duckdb

from cavra_pipeline.errors import OutOfMemory, TransientError
from cavra_pipeline.warehouse.frames import to_frame
from cavra_pipeline.warehouse.questions import Narrowing, read_table
from cavra_pipeline.warehouse.schema import Identity
from cavra_pipeline.warehouse.session import Session

if TYPE_CHECKING:
    import pandas as pd

_log = logging.getLogger("cavra_pipeline.warehouse")

#: Why a warehouse is rebuilt, as words of an alert; a ``Keeper`` has more.
MISSING: Final = "missing"
REFUSED: Final = "refused"
#: How often work is done where other writers are faster, and the shortest and longest wait between.
ATTEMPTS: Final = 5
_CONFLICT_SECONDS: Final = (0.05, 1.0)

_T = TypeVar("_T")


class WarehouseBusy(TransientError):
    """The warehouse stayed busy for longer than the caller was willing to wait."""


class WarehouseLost(TransientError):
    """The warehouse is damaged and was set aside: the next command rebuilds it."""


class WriteConflict(TransientError):
    """What was written does not stand, and the same work may be done again.

    Another writer of a lake was faster, or the warehouse was lost after the commit and rebuilt without it.
    """


@dataclass(frozen=True, slots=True)
class Compacted:
    """Size of the warehouse's data before and after, in bytes."""

    before_bytes: int
    after_bytes: int


class Keeper(Protocol):
    """What a warehouse is derived from, and who remembers what it holds."""

    def reason_to_remake(self, identity: Identity) -> str | None:
        """Returns why a warehouse can't answer for what is known of it, as a word of an alert, or None."""

    def fill(self, fresh: Openable, *, because: str, set_aside_as: str | None) -> None:
        """Fills a warehouse that is empty with everything that is known.

        Raises:
            PipelineError: Something that it is made from is gone.
        """

    def beginning(self, session: Session) -> Identity:
        """Brings a warehouse that was just opened for writing to what is known, in the open transaction."""

    def committed(self, warehouse: Warehouse, written: Identity) -> None:
        """Remembers a commit, and those before that it does not know; the warehouse is closed, so others may use it.

        Args:
            warehouse: The warehouse.
            written: What ``beginning`` returned before the commit.

        Raises:
            WriteConflict: It is not that warehouse any more.
        """


class Openable(ABC):
    """What can be opened to read and to write: a warehouse, also one that is being made."""

    __slots__ = ()

    @property
    @abstractmethod
    def where(self) -> str:
        """The warehouse as messages name it, without a password."""

    @abstractmethod
    def reading(self) -> AbstractContextManager[Session]:
        """Opens one state of it, which no writer changes meanwhile; it is made first if it must be.

        Raises:
            WarehouseBusy: A writer held it for longer than the caller was willing to wait.
            PipelineError: It can't be read, or what it is made from is gone.
        """

    @abstractmethod
    def writing(self, act: str) -> AbstractContextManager[Session]:
        """Runs the block in one transaction, alone: all of it is committed, or nothing.

        Args:
            act: What the caller does, for whoever has to wait for it.

        Raises:
            WarehouseBusy: Others held it for longer than the caller was willing to wait.
            WriteConflict: What was written does not stand; ``repeated`` does the work again.
            PipelineError: It can't be written, or what it is made from is gone. Once the commit is made, none is
                raised for what the keeper could not remember of it.
        """


class Warehouse(Openable):
    """The tables that reports read: derived from landing files, so they can be rebuilt."""

    __slots__ = ()

    @abstractmethod
    def exists(self) -> bool:
        """Returns whether it was made yet."""

    @abstractmethod
    def remake(self, because: str) -> None:
        """Rebuilds it from what it is derived from; until that is done, and if it fails, it is as it was.

        Args:
            because: Why, as a word of an alert.

        Raises:
            WarehouseBusy: Others held it for longer than the caller was willing to wait.
            PipelineError: Something that it is made from is gone.
        """

    @abstractmethod
    def compact(self) -> Compacted:
        """Rewrites it without the room of removed rows; a failure or a kill at any moment leaves it as it was.

        Raises:
            WarehouseBusy: Others held it for longer than the caller was willing to wait.
            PipelineError: It can't be written, or there is no room.
        """

    def frame(self, table_or_sql: str, **narrowing: Unpack[Narrowing]) -> pd.DataFrame:
        """Returns a table, or the answer to a query, as a DataFrame; the warehouse is closed before that is made.

        Args:
            table_or_sql: Name of a table or view (docs/data-dictionary.md), or one SELECT statement.
            narrowing: What narrows it: ``as_of``, ``days``, ``columns``, ``parameters`` (see ``Narrowing``).

        Raises:
            UsageError: There is no such table or column, or the query can't be run.
            WarehouseBusy: A writer held it for longer than the caller was willing to wait.
        """
        with self.reading() as session:
            answer = read_table(session, table_or_sql, narrowing)
        return to_frame(answer)

    def _remember(self, keeper: Keeper, identity: Identity) -> None:
        """Has the keeper remember a commit: where it stands, the caller's work is done, whatever becomes of this."""
        try:
            keeper.committed(self, identity)
        except WriteConflict:
            raise
        except WarehouseLost as lost:
            raise WriteConflict(lost.what, where=lost.where, remedy=lost.remedy) from None
        except (TransientError, OutOfMemory, MemoryError, duckdb.Error) as error:
            # The message of DuckDB may quote values.
            what = "%s: the commit is made, and the state does not know it yet (%s); the next writer tells it"
            _log.warning(what, self.where, type(error).__name__)


def repeated(work: Callable[[], _T]) -> _T:
    """Does work that ends in a commit, and does it again where what it wrote does not stand or was lost; bounded.

    Args:
        work: The whole of it, from what it reads to its commit; safe to repeat.

    Raises:
        WriteConflict: It did not stand any time.
        WarehouseLost: The warehouse was lost each time.
    """
    for _ in range(ATTEMPTS - 1):
        try:
            return work()
        except (WriteConflict, WarehouseLost):
            wait_after_conflict()
    return work()


def wait_after_conflict() -> None:
    """Waits a random while, so that writers that met do not meet again."""
    time.sleep(random.uniform(*_CONFLICT_SECONDS))  # noqa: S311 -- jitter


def has_sign(error: duckdb.Error, signs: tuple[str, ...]) -> bool:
    """Returns whether the message of DuckDB holds one of the signs, which are in lower case."""
    text = str(error).lower()
    return any(sign in text for sign in signs)
