"""What a service that must always answer reads through: a copy of the file, or the newest snapshot of a lake."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from typing import Final, Protocol

from cavra_pipeline.errors import PipelineError
from cavra_pipeline.warehouse.base import Warehouse
from cavra_pipeline.warehouse.connection import FileWarehouse
from cavra_pipeline.warehouse.read_copy import CopyState, ReadCopy
from cavra_pipeline.warehouse.schema import Identity, identity_of
from cavra_pipeline.warehouse.session import Session

#: For so long an answer is taken to be that of the newest snapshot, before the lake is asked again.
_TRUSTED_SECONDS: Final = 0.5


class Reads(Protocol):
    """Reads of a warehouse for many threads at once."""

    failure: PipelineError | None

    def reading(self) -> AbstractContextManager[tuple[Session, CopyState]]:
        """Yields the newest state of the warehouse that can be read now."""

    def wait_for_newer(self) -> None:
        """Waits a moment for what is committed now, if it can't be read yet."""

    def is_current(self, generation: int) -> bool:
        """Whether nothing newer than that generation could be had just now."""

    def state(self) -> CopyState:
        """What a question would be answered from."""

    def catch_up(self, seconds: float) -> bool:
        """Waits until what is committed now is read; returns whether it is."""

    def close(self) -> None:
        """Ends what works in the background."""


def reads_of(warehouse: Warehouse, clock: Callable[[], datetime]) -> Reads:
    """Returns what a service reads the warehouse through.

    Raises:
        WarehouseBusy: A writer held the file for longer than the caller was willing to wait.
        PipelineError: The warehouse can't be read.
    """
    if isinstance(warehouse, FileWarehouse):
        return ReadCopy(warehouse, clock)
    return SnapshotReads(warehouse, clock)


class SnapshotReads:
    """Reads a warehouse whose readers wait for no writer: each question has the newest snapshot."""

    def __init__(self, warehouse: Warehouse, clock: Callable[[], datetime]) -> None:
        """Reads once, so that a service that can't answer does not start.

        Raises:
            PipelineError: The warehouse can't be read.
        """
        self._warehouse, self._clock = warehouse, clock
        self._lock = threading.Lock()
        self._newest: tuple[Identity | None, int] = (None, 0)
        self._read_at = 0.0
        self.failure: PipelineError | None = None
        self.state()

    @contextmanager
    def reading(self) -> Iterator[tuple[Session, CopyState]]:
        """Yields a snapshot."""
        begun_at = self._clock()
        with self._warehouse.reading() as session:
            yield session, CopyState(self._generation_of(session), begun_at, is_behind=False)

    def wait_for_newer(self) -> None:
        """Waits for nothing: the next snapshot holds all that is committed."""

    def is_current(self, generation: int) -> bool:
        """Whether the newest snapshot is of that generation, or nothing newer can be had."""
        if time.monotonic() - self._read_at > _TRUSTED_SECONDS:
            try:
                self.state()
            except PipelineError as error:
                self.failure = error
        return self._newest[1] == generation

    def state(self) -> CopyState:
        """Which generation the newest snapshot is of."""
        with self.reading() as (_, state):
            return state

    def catch_up(self, seconds: float) -> bool:  # noqa: ARG002 -- there is nothing to wait for
        """Forgets when the lake was asked last, so that the next question asks it again."""
        self._read_at = 0.0
        return True

    def close(self) -> None:
        """Ends nothing: nothing works in the background."""

    def _generation_of(self, session: Session) -> int:
        """The number of a snapshot; one that is older than the newest seen has none, so that it is not kept."""
        identity = identity_of(session, where=self._warehouse.where)
        with self._lock:
            newest, generation = self._newest
            if identity != newest and not _is_older(identity, newest):
                self._newest = identity, generation + 1
            self._read_at, self.failure = time.monotonic(), None
            return self._newest[1] if identity == self._newest[0] else 0


def _is_older(identity: Identity, than: Identity | None) -> bool:
    """Returns whether one snapshot of the same warehouse is older than another."""
    return (
        than is not None and identity.warehouse_id == than.warehouse_id and identity.commit_number < than.commit_number
    )
