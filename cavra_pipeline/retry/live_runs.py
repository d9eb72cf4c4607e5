"""Which live runs are going on: each holds a lock on a file of its own, which the kernel frees when its process ends.

The file also notes the last answer until the warehouse has it, because evidence has no field for a provider's floor.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import time
from collections.abc import Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from cavra_pipeline.documents import instant
from cavra_pipeline.errors import PipelineError, UsageError

_RUN_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,100}")
_SUFFIX: Final = ".run"
_NOTE_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class Note:
    """The answer to one send, as a run notes it before it writes the evidence."""

    execution_id: str
    reason: str
    retry_not_before: datetime | None
    is_refused: bool = False


@dataclass(frozen=True, slots=True)
class LiveRun:
    """A run that is going on, while its lock is held."""

    run_id: str
    _handle: int

    def note(self, note: Note) -> None:
        """Notes the answer to the send that this run has just made, in place of the one before."""
        content = json.dumps([note.execution_id, note.reason, instant(note.retry_not_before), note.is_refused]).encode()
        os.ftruncate(self._handle, 0)
        os.pwrite(self._handle, content, 0)
        os.fsync(self._handle)


@dataclass(frozen=True, slots=True)
class LiveRuns:
    """The live runs of a home.

    Attributes:
        folder: Holds one file for each run that is going on, or that ended with a claim still open.
    """

    folder: Path

    @contextmanager
    def living(self, run_id: str) -> Iterator[LiveRun]:
        """Shows the run as going on until the block is left; what it noted stays if it did not end well.

        Raises:
            PipelineError: A run of that id is going on, or the folder can't be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle = self._lock(run_id)
        except OSError as error:
            raise PipelineError(
                f"the folder can't be written ({error.strerror})",
                where=str(self.folder),
                remedy="Free some disk space or give this user write access",
            ) from None
        try:
            yield LiveRun(run_id, handle)
            self._path(run_id).unlink(missing_ok=True)
        finally:
            os.close(handle)

    def _lock(self, run_id: str) -> int:
        for _ in range(200):
            handle = os.open(self._path(run_id), os.O_RDWR | os.O_CREAT, 0o600)
            # Whoever clears away may have locked or removed the file between these two lines.
            if _locks(handle, fcntl.LOCK_EX) and self._is_there(run_id, handle):
                return handle
            os.close(handle)
            time.sleep(0.01)
        raise PipelineError(
            "a run of that id is going on", where=f"run {run_id}", remedy="Give each run an id of its own"
        )

    def _is_there(self, run_id: str, handle: int) -> bool:
        try:
            return self._path(run_id).stat().st_ino == os.fstat(handle).st_ino
        except FileNotFoundError:
            return False

    def are_over(self, run_ids: Set[str]) -> frozenset[str]:
        """Returns those of the runs that are no longer going on."""
        return frozenset(run_id for run_id in run_ids if not self._is_going_on(run_id))

    def _is_going_on(self, run_id: str) -> bool:
        try:
            handle = os.open(self._path(run_id), os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            return not _locks(handle, fcntl.LOCK_SH)
        finally:
            os.close(handle)

    def note_of(self, run_id: str) -> Note | None:
        """Returns what a run noted last, if it left a whole note."""
        try:
            execution_id, reason, floor, is_refused = json.loads(self._path(run_id).read_bytes()[:_NOTE_BYTES])
            return Note(
                str(execution_id), str(reason), datetime.fromisoformat(floor) if floor else None, bool(is_refused)
            )
        except (OSError, ValueError, TypeError):
            return None

    def clear_away(self, *, but: Set[str]) -> None:
        """Removes the files of runs that are over, but for those that still have a claim open."""
        for path in sorted(self.folder.glob(f"*{_SUFFIX}")):
            if path.name.removesuffix(_SUFFIX) in but:
                continue
            try:
                handle = os.open(path, os.O_RDWR)
            except FileNotFoundError:
                continue
            try:
                if _locks(handle, fcntl.LOCK_EX):
                    path.unlink(missing_ok=True)
            finally:
                os.close(handle)

    def _path(self, run_id: str) -> Path:
        return self.folder / f"{checked_run_id(run_id)}{_SUFFIX}"


def checked_run_id(run_id: str) -> str:
    """Returns the id if it can name a file.

    Raises:
        UsageError: It can't.
    """
    if not _RUN_ID.fullmatch(run_id):
        raise UsageError("the value is not accepted", where="run_id", remedy="Use 1 to 100 letters, digits, - and _")
    return run_id


def _locks(handle: int, kind: int) -> bool:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
