"""Heartbeats of Dagster's daemon, as its instance stores them."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import dagster as dg
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    ScheduleInstigatorData,
    SensorInstigatorData,
    TickStatus,
)

from cavra_pipeline.desired_state import DESIRED_STATE, SENSOR
from cavra_pipeline.documents import instant, whole_minutes
from cavra_pipeline.errors import PipelineError
from cavra_pipeline.event_log import DAEMON_BEFORE
from cavra_pipeline.resources import dagster_instance
from cavra_pipeline.settings import Settings
from cavra_pipeline.slots.observations import LONGEST_PAUSE

#: So long after `cavra-pipeline dev` has started it, a daemon without a heartbeat is starting, not down.
STARTS_WITHIN: Final = timedelta(minutes=2)
#: The file of a home whose time says when `cavra-pipeline dev` started; there only while it runs.
_STARTED: Final = "dev.started"
_SENSORS: Final = tuple(instigator.name for instigator in DESIRED_STATE if instigator.kind == SENSOR)


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


@contextmanager
def recorded_start(settings: Settings) -> Iterator[None]:
    """Records, while the block runs, that a daemon of this home is started now."""
    path = settings.home / _STARTED
    path.unlink(missing_ok=True)
    path.touch()
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def is_starting(settings: Settings, beats: Mapping[str, Heartbeat], now: datetime) -> bool:
    """Returns whether a daemon was started a moment ago and its first heartbeat is still to come."""
    try:
        started_at = datetime.fromtimestamp((settings.home / _STARTED).stat().st_mtime, UTC)
    except OSError:
        return False
    sensor = beats.get("SENSOR")
    return abs(now - started_at) < STARTS_WITHIN and not (sensor and sensor.at >= started_at)


def daemon_word(settings: Settings, beats: Mapping[str, Heartbeat], now: datetime) -> str:
    """Returns ``alive``, ``starting``, ``silent`` or ``never_seen``, by the part that ticks the sensors.

    That part evaluates the alerts.
    """
    if is_starting(settings, beats, now):
        return "starting"
    return "silent" if "SENSOR" in silent_daemons(beats, now) else "alive" if beats else "never_seen"


class Evaluation(NamedTuple):
    """How old the alerts are.

    Attributes:
        is_current: Whether each sensor that is on has ticked within its interval and the longest pause. After a longer
            pause a daemon ticks one sensor after the other: until the last, what alerts say is of before.
        since: The oldest of the last ticks of the sensors that are on; None where one of them has not ticked yet.
    """

    is_current: bool
    since: datetime | None


def evaluation_of_alerts(instance: dg.DagsterInstance, now: datetime) -> Evaluation:
    """Returns whether every alert has been evaluated lately, and since when all of them have."""
    kind = InstigatorType.SENSOR
    rows = newest_rows(instance.all_instigator_state(instigator_type=kind))
    states = [rows[name, kind] for name in _SENSORS if (name, kind) in rows]
    running = [row for row in states if row.status != InstigatorStatus.STOPPED]
    is_current = len(states) == len(_SENSORS) and all(_is_current(instance, row, now) for row in running)
    ticked = [_ticked_at(instance, row) for row in running]
    return Evaluation(is_current, datetime.fromtimestamp(min(ticked), UTC) if ticked and all(ticked) else None)


def _ticked_at(instance: dg.DagsterInstance, row: InstigatorState) -> float:
    data = row.instigator_data
    if isinstance(data, SensorInstigatorData) and data.last_tick_success_timestamp:
        return data.last_tick_success_timestamp
    done = [TickStatus.SUCCESS, TickStatus.SKIPPED]
    ticks = instance.get_ticks(row.instigator_origin_id, row.selector_id, statuses=done, limit=1)
    return max((tick.end_timestamp or tick.timestamp for tick in ticks), default=0.0)


def newest_rows(rows: Iterable[InstigatorState]) -> dict[tuple[str, InstigatorType], InstigatorState]:
    """Returns the state of each schedule and sensor by its name and kind.

    A name may have rows of an older way to load this code location: the newest counts.
    """
    return {(row.instigator_name, row.instigator_type): row for row in sorted(rows, key=_last_seen)}


def _last_seen(row: InstigatorState) -> float:
    data = row.instigator_data
    if isinstance(data, ScheduleInstigatorData):
        return max(data.start_timestamp or 0.0, data.last_iteration_timestamp or 0.0)
    return (data.last_tick_timestamp or 0.0) if isinstance(data, SensorInstigatorData) else 0.0


def _is_current(instance: dg.DagsterInstance, row: InstigatorState, now: datetime) -> bool:
    data = row.instigator_data
    if not isinstance(data, SensorInstigatorData):
        return False
    since = now - LONGEST_PAUSE - timedelta(seconds=data.min_interval or 0)
    # Dagster takes the last success away when a tick begins, and puts it back unless the tick fails.
    if data.last_tick_success_timestamp:
        return data.last_tick_success_timestamp > since.timestamp()
    ticks = instance.get_ticks(row.instigator_origin_id, row.selector_id, after=since.timestamp(), limit=2)
    return any(tick.status != TickStatus.STARTED for tick in ticks)


def daemon_and_alerts(settings: Settings, instance: dg.DagsterInstance, now: datetime) -> dict[str, Any]:
    """Returns a home's `daemon_word`, and whether alerts are evaluated, by the names the API gives them."""
    return {
        "daemon": daemon_word(settings, heartbeats(instance), now),
        "are_alerts_evaluated": evaluation_of_alerts(instance, now).is_current,
    }


def daemon_state(settings: Settings, now: datetime) -> dict[str, Any]:
    """Returns how the Dagster daemon of a home stands.

    Returns:
        ``state`` (``never_seen``, ``starting``, ``alive`` or ``silent``) of the part that ticks the sensors,
        ``last_heartbeat_at`` and ``age_minutes`` of the newest heartbeat, ``silent``, the parts without one for too
        long, none while it starts, ``are_alerts_evaluated``, and ``alerts_evaluated_at``, since when all are. No
        instance is made where there is none yet.

    Raises:
        UsageError: ``DAGSTER_HOME`` names a folder that there is not.
        PipelineError: The instance can't be opened or read.
    """
    beats: Mapping[str, Heartbeat] = {}
    evaluation = Evaluation(is_current=False, since=None)
    if settings.dagster_home != settings.home / "dagster" or (settings.dagster_home / "history").is_dir():
        beats, evaluation = _read(settings, now)
    newest = max((beat.at for beat in beats.values()), default=None)
    state = daemon_word(settings, beats, now)
    silent = silent_daemons(beats, now) if state != "starting" else []
    return {
        "state": state,
        "last_heartbeat_at": instant(newest),
        # A beat after `now` was read is no age below zero.
        "age_minutes": max(0, whole_minutes(now - newest)) if newest else None,
        "silent": [kind.lower() for kind in silent],
        "are_alerts_evaluated": evaluation.is_current,
        "alerts_evaluated_at": instant(evaluation.since),
    }


def _read(settings: Settings, now: datetime) -> tuple[Mapping[str, Heartbeat], Evaluation]:
    try:
        with dagster_instance(settings) as instance:
            return heartbeats(instance), evaluation_of_alerts(instance, now)
    except PipelineError:
        raise
    except Exception as error:  # noqa: BLE001 -- dagster.yaml and its databases can be wrong in any way
        # The message may quote dagster.yaml, which may hold a password.
        raise PipelineError(
            f"Dagster's instance can't be opened ({type(error).__name__})",
            where=str(settings.dagster_home),
            remedy="Fix dagster.yaml or what it names, or restore this folder from a backup; then run doctor again",
        ) from None
