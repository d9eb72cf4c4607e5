"""Which runs that send are running: each locks a file of its own, and the kernel frees the lock when the process ends.

The file also holds the answer to the run's latest send, from before it is recorded: a run that is killed in between has
left the outcome, and the next run records it instead of sending again.
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
from pathlib import Path
from typing import Final

from cavra_pipeline.connectors import DeliveryOutcome
from cavra_pipeline.errors import PipelineError, UsageError
from cavra_pipeline.sending.intents import outcome_json, outcome_of

_RUN_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,100}")
_SUFFIX: Final = ".run"
_NOTE_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class Note:
    """The answer to one send, before it is recorded."""

    intent_id: str
    outcome: DeliveryOutcome


@dataclass(frozen=True, slots=True)
class LiveRun:
    """A run that is running, while its lock is held."""

    run_id: str
    _handle: int

    def note(self, note: Note) -> None:
        """Writes the answer to the send that this run has just made to the disk, in place of the one before.

        Raises:
            PipelineError: It can't be written; the outcome is then unknown to the next run.
        """
        content = json.dumps([note.intent_id, outcome_json(note.outcome)]).encode()
        try:
            os.ftruncate(self._handle, 0)
            os.pwrite(self._handle, content, 0)
            os.fsync(self._handle)
        except OSError as error:
            raise PipelineError(
                f"the answer to a send can't be written ({error.strerror})",
                where=f"run {self.run_id}",
                remedy="Free some disk space; the next run repeats the send under the same id",
            ) from None


@dataclass(frozen=True, slots=True)
class LiveRuns:
    """The runs of a home that send.

    Attributes:
        folder: Holds one file for each run that is running, or that ended early.
    """

    folder: Path

    @contextmanager
    def living(self, run_id: str) -> Iterator[LiveRun]:
        """Shows the run as running until the block is left. The file stays if the block did not end well.

        Raises:
            PipelineError: A run of that id is running, or the folder can't be written.
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
            "a run of that id is running", where=f"run {run_id}", remedy="Give each run an id of its own"
        )

    def _is_there(self, run_id: str, handle: int) -> bool:
        try:
            return self._path(run_id).stat().st_ino == os.fstat(handle).st_ino
        except FileNotFoundError:
            return False

    def are_over(self, run_ids: Set[str]) -> frozenset[str]:
        """Returns those of the runs that are no longer running."""
        return frozenset(run_id for run_id in run_ids if not self._is_running(run_id))

    def left(self) -> frozenset[str]:
        """Returns the runs that ended early: their files are there and nobody holds them."""
        names = {path.name.removesuffix(_SUFFIX) for path in self.folder.glob(f"*{_SUFFIX}")}
        return self.are_over({name for name in names if _RUN_ID.fullmatch(name)})

    def wait_for(self, run_id: str, *, seconds: float) -> None:
        """Waits until a run is over, so long at most."""
        ends_at = time.monotonic() + seconds
        while self._is_running(run_id) and time.monotonic() < ends_at:
            time.sleep(0.05)

    def _is_running(self, run_id: str) -> bool:
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
            intent_id, outcome = json.loads(self._path(run_id).read_bytes()[:_NOTE_BYTES])
            return Note(str(intent_id), outcome_of(outcome))
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def clear_away(self, run_ids: Set[str]) -> None:
        """Removes the files of runs that are over."""
        for run_id in sorted(run_ids):
            try:
                handle = os.open(self._path(run_id), os.O_RDWR)
            except FileNotFoundError:
                continue
            try:
                if _locks(handle, fcntl.LOCK_EX):
                    self._path(run_id).unlink(missing_ok=True)
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
