"""Reports that were made outside a run: each is a materialisation of its asset, with the metadata a run would give."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from queue import Full, Queue
from typing import Any, Final

import dagster as dg

from cavra_pipeline.assets.report_metadata import report_metadata
from cavra_pipeline.assets.reports import asset_of, log_head
from cavra_pipeline.errors import TransientError
from cavra_pipeline.jobs import RANGE_END_TAG, RANGE_START_TAG
from cavra_pipeline.reports.store import Report
from cavra_pipeline.resources import dagster_instance, first_partition
from cavra_pipeline.settings import Settings

#: Marks what the API had a part in.
ORIGIN_TAG: Final = {"cavra/origin": "api"}
REFRESH_TAG: Final = "cavra/refresh"
_MOST_WAITING: Final = 10_000
_ATTEMPTS: Final = 5
_log = logging.getLogger("cavra_pipeline.api")


class RunlessReports:
    """Reports materializations to a home's Dagster instance, one after the other, on a thread of its own."""

    def __init__(
        self,
        settings: Settings,
        environ: Mapping[str, str],
        clock: Callable[[], datetime],
        daemon: Callable[[dg.DagsterInstance, datetime], dict[str, Any]],
    ) -> None:
        """Opens the instance on the thread, so that no one waits for it.

        Args:
            settings: The home; its Dagster instance is the one in ``dagster_home``.
            environ: Environment of the runs that are started.
            clock: Returns the current time.
            daemon: Returns the state of an instance's daemon in one word, and whether alerts are evaluated.
        """
        self._settings, self._environ, self._clock, self._daemon = settings, dict(environ), clock, daemon
        self._queue: Queue[Report | None] = Queue(_MOST_WAITING)
        self._counts = {"reported_count": 0, "lost_count": 0}
        self._refreshing: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._is_open = threading.Event()
        self._instance: dg.DagsterInstance | None = None
        self._thread = threading.Thread(target=self._work, name="dagster-reports", daemon=True)
        self._thread.start()

    def report(self, report: Report) -> None:
        """Queues a report; where ten thousand wait, it is counted as lost and not reported."""
        try:
            self._queue.put_nowait(report)
        except Full:
            self._counts["lost_count"] += 1

    def launch_refresh(self, days: Sequence[date]) -> str:
        """Starts a run in a process of its own, which needs no daemon, and returns its id.

        Raises:
            TransientError: The refresh before has not ended.
        """
        with self._lock:
            if self._refreshing is not None and self._refreshing.poll() is None:
                raise TransientError(
                    "a refresh is running", where="refresh", remedy="Wait for it to end, then ask again"
                )
            run_id = str(uuid.uuid4())
            command = [
                sys.executable, "-m", "cavra_pipeline.cli", "refresh",
                "--from", days[0].isoformat(), "--to", days[-1].isoformat(), "--run-id", run_id,
            ]  # fmt: skip
            self._refreshing = subprocess.Popen(
                command,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            # It outlives the service; while that lives, somebody has to take note of its end.
            threading.Thread(target=self._refreshing.wait, name="refresh", daemon=True).start()
        return run_id

    def run_status(self, run_id: str) -> dict[str, Any] | None:
        """Returns the status, the job and the days of a refresh; None where there is none of that id."""
        if not self._is_open.wait(timeout=20) or self._instance is None:
            return None
        run = self._instance.get_run_by_id(run_id)
        if run is None or REFRESH_TAG not in run.tags:
            return None
        return {
            "run_id": run_id,
            "status": run.status.value.lower(),
            "job": run.job_name,
            "from": run.tags[RANGE_START_TAG],
            "to": run.tags[RANGE_END_TAG],
        }

    def state(self) -> dict[str, Any]:
        """Returns the daemon's state, and how many reports were sent, wait, and were lost."""
        return {
            "is_open": self._is_open.is_set(),
            **self._daemon_state(),
            "waiting_count": self._queue.qsize(),
            **self._counts,
        }

    def _daemon_state(self) -> dict[str, Any]:
        unknown = {"daemon": "unknown", "are_alerts_evaluated": None}
        if self._instance is None:
            return unknown
        try:
            return self._daemon(self._instance, self._clock())
        except Exception as error:  # noqa: BLE001 -- Dagster's own failures are many; the status answers without it
            _log.warning("the heartbeats of the Dagster daemon can't be read: %s", type(error).__name__)
            return unknown

    def close(self) -> None:
        """Sends what waits, within a time limit, and ends."""
        self._queue.put(None)
        self._thread.join(timeout=20)

    def _work(self) -> None:
        try:
            with dagster_instance(self._settings) as instance:
                self._instance = instance
                self._is_open.set()
                while (report := self._queue.get()) is not None:
                    self._tell(instance, report)
        except Exception as error:  # noqa: BLE001 -- Dagster's own failures are many; the API answers without it
            _log.error("the Dagster instance can't be opened: %s", type(error).__name__)

    def _event(self, report: Report) -> dg.AssetMaterialization:
        return dg.AssetMaterialization(
            asset_of(self._settings, report),
            partition=report.day.isoformat() if self._is_partition(report.day) else None,
            metadata=report_metadata(self._settings, report, log_head(self._settings)),
            tags={**ORIGIN_TAG, "dagster/data_version": report.report_id},
        )

    def _tell(self, instance: dg.DagsterInstance, report: Report) -> None:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                instance.report_runless_asset_event(self._event(report))
            except Exception as error:  # noqa: BLE001 -- a busy SQLite file shows as several of Dagster's errors
                if attempt == _ATTEMPTS:
                    self._counts["lost_count"] += 1
                    _log.error("a report could not be shown in Dagster: %s", type(error).__name__)
                else:
                    threading.Event().wait(0.05 * 2**attempt)
            else:
                self._counts["reported_count"] += 1
                return

    def _is_partition(self, day: date) -> bool:
        return first_partition(self._settings) <= day <= self._clock().astimezone(UTC).date()
