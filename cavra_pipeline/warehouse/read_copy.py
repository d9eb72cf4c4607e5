"""A copy of the warehouse that is read while the warehouse itself is written (docs/decisions/0016-api.md).

A DuckDB file open for writing can't be opened by anyone else. A service that must always answer reads a copy of its
own, renewed when the warehouse has changed and no one writes. The copy has no name: it is gone when its process is.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from cavra_pipeline.errors import PipelineError
from cavra_pipeline.warehouse.base import WarehouseBusy
from cavra_pipeline.warehouse.connection import FileWarehouse, Stamp
from cavra_pipeline.warehouse.session import Session

#: A question waits this long for a newer copy, and then takes the one there is.
_WAIT_SECONDS: Final = 0.5
#: How long one attempt waits for a writer, and for how long after it questions do not wait.
_ATTEMPT_SECONDS: Final = 0.25
_QUIET_SECONDS: Final = 0.5
#: Copies are spaced by this multiple of what the last one took, so that copying stays a small part of the machine.
_SPACING: Final = 1.0
_POLL_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class CopyState:
    """What a copy holds.

    Attributes:
        generation: Number of the copy; a larger one is newer.
        copied_at: When it was made; it holds everything committed before.
        is_behind: Whether the warehouse has changed since.
    """

    generation: int
    copied_at: datetime
    is_behind: bool


class _Copy:
    """One copy, closed when it is retired and its last reader is done."""

    def __init__(self, warehouse: FileWarehouse, path: Path, stamp: Stamp, state: CopyState) -> None:
        self.stamp, self.state = stamp, state
        self._connection = warehouse.at(path).open_copy()
        self._readers, self._is_retired, self._lock = 0, False, threading.Lock()

    @contextmanager
    def session(self) -> Iterator[Session]:
        try:
            cursor = self._connection.cursor()
            try:
                yield Session(cursor, is_reader=True)
            finally:
                cursor.close()
        finally:
            self.release()

    def take(self) -> None:
        with self._lock:
            self._readers += 1

    def release(self) -> None:
        with self._lock:
            self._readers -= 1
            if self._is_retired and not self._readers:
                self._connection.close()

    def retire(self) -> None:
        self.take()
        self._is_retired = True
        self.release()


class ReadCopy:
    """Reads a warehouse through a copy. Many threads may ask at once."""

    def __init__(self, warehouse: FileWarehouse, clock: Callable[[], datetime]) -> None:
        """Makes the first copy; this once it waits for a writer as long as the warehouse itself does.

        Raises:
            WarehouseBusy: A writer held the file for longer than ``busy_wait_seconds``.
            PipelineError: The file is not a warehouse, or can't be read or copied.
        """
        self._warehouse, self._clock = warehouse, clock
        self._changed = threading.Condition()
        self._request = threading.Event()
        self._is_closed = False
        self._quiet_until = 0.0
        self._cost = 0.0
        self.failure: PipelineError | None = None
        self._copy = self._make(1, warehouse.busy_wait_seconds)
        self._thread = threading.Thread(target=self._keep_fresh, name="read-copy", daemon=True)
        self._thread.start()

    @contextmanager
    def reading(self) -> Iterator[tuple[Session, CopyState]]:
        """Yields the newest copy."""
        with self._changed:
            copy = self._copy
            copy.take()
        with copy.session() as session:
            yield session, replace(copy.state, is_behind=copy.stamp != self._warehouse.stamp())

    def wait_for_newer(self) -> None:
        """Waits half a second at most for a copy that holds what is committed now, if one could be had."""
        if not self.is_current(self._copy.state.generation):
            self._wait(_WAIT_SECONDS)

    def is_current(self, generation: int) -> bool:
        """Whether nothing newer than that copy could be had just now."""
        if self._copy.state.generation != generation:
            return False
        return not self._is_behind() or time.monotonic() < self._quiet_until

    def state(self) -> CopyState:
        """What the newest copy holds."""
        copy = self._copy
        return replace(copy.state, is_behind=copy.stamp != self._warehouse.stamp())

    def catch_up(self, seconds: float) -> bool:
        """Waits until the copy holds what is committed now; returns whether it does."""
        self._quiet_until = 0.0
        return self._wait(seconds)

    def close(self) -> None:
        """Ends the thread that renews the copy, and closes it."""
        self._is_closed = True
        self._request.set()
        self._thread.join(timeout=10)
        self._copy.retire()

    def _wait(self, seconds: float) -> bool:
        self._request.set()
        with self._changed:
            return (
                self._changed.wait_for(lambda: not self._is_behind() or self._quiet_until > time.monotonic(), seconds)
                and not self._is_behind()
            )

    def _is_behind(self) -> bool:
        return self._copy.stamp != self._warehouse.stamp()

    def _keep_fresh(self) -> None:
        while True:
            self._request.wait(_POLL_SECONDS)
            self._request.clear()
            if self._is_closed:
                return
            if not self._is_behind():
                continue
            try:
                copy = self._make(self._copy.state.generation + 1, _ATTEMPT_SECONDS)
            except PipelineError as error:
                self.failure = None if isinstance(error, WarehouseBusy) else error
                with self._changed:
                    self._quiet_until = time.monotonic() + _QUIET_SECONDS
                    self._changed.notify_all()
                continue
            with self._changed:
                old, self._copy, self.failure = self._copy, copy, None
                self._changed.notify_all()
            old.retire()
            time.sleep(min(self._cost * _SPACING, 5.0))

    def _make(self, generation: int, wait_seconds: float) -> _Copy:
        folder = Path(tempfile.mkdtemp(prefix=".read-copy-", dir=self._warehouse.path.parent))
        target = folder / f"copy-{generation}.duckdb"
        started = time.monotonic()
        try:
            with replace(self._warehouse, busy_wait_seconds=wait_seconds).reading():
                stamp = self._warehouse.stamp()
                copied_at = self._clock()
                _copy_file(self._warehouse.path, target)
                if self._warehouse.log.exists():
                    _copy_file(self._warehouse.log, self._warehouse.at(target).log)
            copy = _Copy(self._warehouse, target, stamp, CopyState(generation, copied_at, is_behind=False))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        self._cost = time.monotonic() - started
        return copy


def _copy_file(source: Path, target: Path) -> None:
    """Copies in a process of its own: closing a file releases every lock that a process holds on it (POSIX)."""
    done = subprocess.run(["/bin/cp", "--", str(source), str(target)], check=False, capture_output=True)
    if done.returncode:
        raise PipelineError(
            "the warehouse can't be copied for reading",
            where=str(target.parent.parent),
            remedy="Free some disk space; the service needs room for one more copy of the warehouse",
        )
