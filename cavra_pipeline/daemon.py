"""Heartbeats of Dagster's daemon, as its instance stores them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from cavra_pipeline.documents import instant, whole_minutes
from cavra_pipeline.errors import PipelineError
from cavra_pipeline.event_log import DAEMON_BEFORE
from cavra_pipeline.resources import dagster_instance
from cavra_pipeline.settings import Settings
from cavra_pipeline.slots.observations import LONGEST_PAUSE


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


def daemon_word(beats: Mapping[str, Heartbeat], now: datetime) -> str:
    """Returns ``alive``, ``silent`` or ``never_seen``, by the part that ticks the sensors: it evaluates alerts."""
    return "silent" if "SENSOR" in silent_daemons(beats, now) else "alive" if beats else "never_seen"


def daemon_state(settings: Settings, now: datetime) -> dict[str, Any]:
    """Returns how the Dagster daemon of a home stands.

    Returns:
        ``state`` (``never_seen``, ``alive`` or ``silent``) of the part that ticks the sensors, ``last_heartbeat_at``
        and ``age_minutes`` of the newest heartbeat, and ``silent``, the parts without one for too long. No instance is
        made where there is none yet.

    Raises:
        UsageError: ``DAGSTER_HOME`` names a folder that there is not.
        PipelineError: The instance can't be opened or read.
    """
    beats: Mapping[str, Heartbeat] = {}
    if settings.dagster_home != settings.home / "dagster" or (settings.dagster_home / "history").is_dir():
        beats = _heartbeats(settings)
    newest = max((beat.at for beat in beats.values()), default=None)
    silent = silent_daemons(beats, now)
    return {
        "state": daemon_word(beats, now),
        "last_heartbeat_at": instant(newest),
        # A beat after `now` was read is no age below zero.
        "age_minutes": max(0, whole_minutes(now - newest)) if newest else None,
        "silent": [kind.lower() for kind in silent],
    }


def _heartbeats(settings: Settings) -> Mapping[str, Heartbeat]:
    try:
        with dagster_instance(settings) as instance:
            return heartbeats(instance)
    except PipelineError:
        raise
    except Exception as error:  # noqa: BLE001 -- dagster.yaml and its databases can be wrong in any way
        # The message may quote dagster.yaml, which may hold a password.
        raise PipelineError(
            f"Dagster's instance can't be opened ({type(error).__name__})",
            where=str(settings.dagster_home),
            remedy="Fix dagster.yaml or what it names, or restore this folder from a backup; then run doctor again",
        ) from None
