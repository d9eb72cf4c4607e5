"""Saves the evidence of reports that the API made in the landing zone, before their answers go out.

The warehouse is not written here: a run may hold it. The next ingest reads the files like any other.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from concurrent.futures import Future
from datetime import datetime
from queue import SimpleQueue
from typing import Any, Final

from cavra_pipeline.documents import canonical_json
from cavra_pipeline.evidence.emitted import lay_emitted_drop
from cavra_pipeline.settings import Settings

_Waiting = tuple[dict[str, Any], "Future[None]"]
_MOST_AT_ONCE: Final = 200


class EvidenceWriter:
    """Writes records as they come: those that wait while a landing file is written go into the next one together."""

    def __init__(self, settings: Settings, clock: Callable[[], datetime]) -> None:
        self._settings, self._clock = settings, clock
        self._queue: SimpleQueue[_Waiting | None] = SimpleQueue()
        self.kept_count = 0
        self.failed_count = 0
        self._thread = threading.Thread(target=self._work, name="keeper", daemon=True)
        self._thread.start()

    def keep(self, record: dict[str, Any]) -> None:
        """Returns when the record is on disk.

        Raises:
            PipelineError: The landing zone can't be written.
        """
        kept: Future[None] = Future()
        self._queue.put((record, kept))
        kept.result(timeout=30)

    def close(self) -> None:
        """Writes what waits and ends."""
        self._queue.put(None)
        self._thread.join(timeout=30)

    def _work(self) -> None:
        is_open = True
        while is_open:
            batch: list[_Waiting] = []
            while not batch or (not self._queue.empty() and len(batch) < _MOST_AT_ONCE):
                waiting_record = self._queue.get()
                if waiting_record is None:
                    is_open = False
                    break
                batch.append(waiting_record)
            if batch:
                self._write(batch)

    def _write(self, batch: list[_Waiting]) -> None:
        records = [record for record, _ in batch]
        digest = hashlib.sha256(canonical_json(records).encode()).hexdigest()[:24]
        try:
            lay_emitted_drop(self._settings, f"api-{digest}", records, now=self._clock())
        except Exception as error:  # noqa: BLE001 -- handed to whoever waits
            self.failed_count += len(batch)
            for _, kept in batch:
                kept.set_exception(error)
            return
        self.kept_count += len(batch)
        for _, kept in batch:
            kept.set_result(None)
