"""Signs of life of Dagster's daemon, as its instance stores them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg

from cavra_pipeline.event_log import DAEMON_BEFORE
from cavra_pipeline.slots.looks import LONGEST_PAUSE


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A daemon's last sign of life.

    Attributes:
        at: When it was.
        daemon_id: The process; all daemons of one process share it.
    """

    at: datetime
    daemon_id: str | None


def heartbeats(instance: dg.DagsterInstance) -> Mapping[str, Heartbeat]:
    """Returns the last heartbeat of each daemon, by its type such as ``SCHEDULER``."""
    return {
        kind: Heartbeat(datetime.fromtimestamp(beat.timestamp, UTC), beat.daemon_id)
        for kind, beat in instance.get_daemon_heartbeats().items()
    }


def silent_daemons(beats: Mapping[str, Heartbeat], now: datetime) -> list[str]:
    """Returns the daemons, by their types, that have given no sign of life for too long."""
    return sorted(kind for kind, beat in beats.items() if now - beat.at > LONGEST_PAUSE)


def daemon_before_until(instance: dg.DagsterInstance) -> datetime | None:
    """Returns the last sign of life of the daemon before the present one; None where the instance does not keep it."""
    stored = instance.run_storage.get_cursor_values({DAEMON_BEFORE}).get(DAEMON_BEFORE)
    return datetime.fromtimestamp(float(stored), UTC) if stored else None
