"""Dagster's instance of a home: batches of events where Dagster's storage is the one they were written for.

On any other Dagster it steps aside with one warning and the home has Dagster's own storage: the same rows, written one
by one.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import dagster as dg
import yaml

from cavra_pipeline.private import keep_private

if TYPE_CHECKING:
    from dagster._daemon.types import DaemonHeartbeat

#: Where the last sign of life of the daemon before the present one is stored, among Dagster's own cursors.
DAEMON_BEFORE: Final = "cavra/daemon_before_until"
_WATCHED: Final = "SENSOR"
_BATCHES: Final = "cavra_pipeline.event_batches"
_log = logging.getLogger(__name__)


@cache
def takes_batches() -> bool:
    """Returns whether Dagster's storage is the one the batches were written for; if not, warns once in this process."""
    try:
        from cavra_pipeline.event_batches import SOURCE_DIGEST, source_digest

        differs = "" if source_digest() == SOURCE_DIGEST else "its code differs"
    except (ImportError, AttributeError, TypeError, OSError) as error:
        differs = type(error).__name__
    if differs:
        _log.warning(
            "The event log of Dagster %s is not the one that batches of events were written for (%s): "
            "events are stored by Dagster itself, one by one. Everything works; backfills of many days take longer.",
            dg.__version__,
            differs,
        )
    return not differs


def stores_in_batches(instance: dg.DagsterInstance) -> bool:
    """Returns whether an instance stores the planned events of a run over many days together."""
    if not takes_batches():
        return False
    from cavra_pipeline.event_batches import BatchedEventLog

    return isinstance(instance.event_log_storage, BatchedEventLog)


class BatchedInstance(dg.DagsterInstance):
    """Dagster's instance with batches of events where ``dagster.yaml`` names no storage; for its ``instance_class``."""

    _daemon_id: str | None = None

    def add_daemon_heartbeat(self, daemon_heartbeat: DaemonHeartbeat) -> None:
        """Stores a sign of life; with the first of a daemon also when the one before it gave its last.

        Dagster keeps the newest only, so a daemon that was down and code that did not load look the same afterwards.
        """
        if daemon_heartbeat.daemon_type == _WATCHED and daemon_heartbeat.daemon_id != self._daemon_id:
            self._daemon_id = daemon_heartbeat.daemon_id
            before = self.get_daemon_heartbeats().get(_WATCHED)
            if before and before.daemon_id != daemon_heartbeat.daemon_id:
                self.run_storage.set_cursor_values({DAEMON_BEFORE: str(before.timestamp)})
        super().add_daemon_heartbeat(daemon_heartbeat)

    @staticmethod
    def config_schema() -> Mapping[str, Any]:
        """Returns no settings of its own."""
        return {}

    @staticmethod
    def config_defaults(base_dir: str) -> Mapping[str, Any]:
        """Returns Dagster's defaults but for the storage; from here on the process makes private files."""
        # Dagster's own web server and daemon open the home here first; what they start inherits it.
        keep_private()
        from dagster._core.instance.ref import InstanceRef

        defaults = InstanceRef.config_defaults(base_dir)
        if not takes_batches():
            return defaults
        from dagster._serdes import ConfigurableClassData

        storage = ConfigurableClassData(_BATCHES, "BatchedStorage", yaml.dump({"base_dir": base_dir}))
        return {**defaults, "storage": storage}
