"""Reads Dagster's own records for the sensors: instants of a cron, states, ticks, runs.

Of the sensors, only this module, ``shown.py``, ``daemon.py`` and ``instance.py`` go below Dagster's public API.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from typing import Any, Final

import dagster as dg
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.definitions.selector import RepositorySelector
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorTick,
    ScheduleInstigatorData,
    SensorInstigatorData,
    TickStatus,
)
from dagster._core.storage.tags import SCHEDULE_NAME_TAG, SCHEDULED_EXECUTION_TIME_TAG
from dagster._utils.schedules import schedule_execution_time_iterator
from dagster_shared.error import SerializableErrorInfo

from cavra_pipeline.daemon import newest_rows
from cavra_pipeline.desired_state import SCHEDULE
from cavra_pipeline.schedules import STILL_WAITS
from cavra_pipeline.sensors.instance import instance_of
from cavra_pipeline.sensors.location import Location, owned
from cavra_pipeline.slots.verdicts import ScheduledRun, Tick

_MOST_RECORDS: Final = 1000
_WORD: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_LOAD_ERRORS: Final = (
    "DagsterUserCodeUnreachableError",
    "DagsterCodeLocationLoadError",
    "DagsterCodeLocationNotFoundError",
    "DagsterRepositoryLocationLoadError",
)
_UNDER_WAY: Final = (dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING)


def instants_around(
    cron: str, time_zone: str, *, after: datetime, until: datetime, most: int | None = None
) -> list[datetime]:
    """Returns a schedule's instants in (``after``, ``until``], with the one before them and the one that follows.

    Dagster's own evaluator decides what a cron expression means on the nights when clocks change.

    Args:
        cron: The expression.
        time_zone: The zone it is read in.
        after: Start of the range; not in it.
        until: End of the range.
        most: How many instants of the range are returned, the earliest first; all if not given.

    Returns:
        The instants; none of an expression that never comes, such as an earlier release may have stored.
    """
    instants: list[datetime] = []
    try:
        backward = schedule_execution_time_iterator(after.timestamp(), cron, time_zone, ascending=False)
        before = next(instant for instant in backward if instant <= after)
        forward = schedule_execution_time_iterator(before.timestamp(), cron, time_zone)
        for instant in islice(forward, most + 2 if most else None):
            instants.append(instant.astimezone(UTC))
            if instant > until:
                break
    except Exception:  # noqa: BLE001 -- the evaluator's own error class is not public
        return []
    return instants


@dataclass(frozen=True, slots=True)
class Instigator:
    """Stored state of a schedule or sensor.

    Attributes:
        name: Its name.
        kind: ``schedule`` or ``sensor``.
        is_on: Whether it is running.
        started_at: When it was switched on by hand, or first seen by the daemon.
        last_tick_at: When a sensor last ticked.
        interval: How often a sensor wants to tick.
        has_succeeded: Whether the newest tick of a sensor has ended and did not fail.
        state: Dagster's row; None if there is none yet.
    """

    name: str
    kind: str
    is_on: bool
    started_at: datetime | None
    last_tick_at: datetime | None
    interval: timedelta
    has_succeeded: bool
    state: InstigatorState | None


def instigators(context: dg.SensorEvaluationContext, place: Location) -> dict[str, Instigator]:
    """Returns every schedule and sensor of the code location, by name."""
    repository = repository_of(context)
    ours = _selector(place) if place.name else None
    states = instance_of(context).all_instigator_state(repository_selector_id=ours)
    rows = newest_rows(states)
    instigator_by_name: dict[str, Instigator] = {}
    for schedule in repository.schedule_defs:
        row = rows.get((schedule.name, InstigatorType.SCHEDULE))
        is_default = schedule.default_status == dg.DefaultScheduleStatus.RUNNING
        instigator_by_name[schedule.name] = _instigator(schedule.name, SCHEDULE, row, is_default, timedelta(0))
    for sensor in repository.sensor_defs:
        row = rows.get((sensor.name, InstigatorType.SENSOR))
        is_default = sensor.default_status == dg.DefaultSensorStatus.RUNNING
        interval = timedelta(seconds=sensor.minimum_interval_seconds or 30)
        instigator_by_name[sensor.name] = _instigator(sensor.name, "sensor", row, is_default, interval)
    return instigator_by_name


def _selector(place: Location) -> str:
    selector = RepositorySelector(location_name=str(place.name), repository_name=place.repository)
    return str(selector.selector_id)


def repository_of(context: dg.SensorEvaluationContext) -> dg.RepositoryDefinition:
    """Returns the code location a sensor is part of."""
    if context.repository_def is None:
        raise dg.DagsterInvariantViolationError("this sensor needs its code location")
    return context.repository_def


def _instigator(
    name: str, kind: str, row: InstigatorState | None, is_on_by_default: bool, interval: timedelta
) -> Instigator:
    is_on = is_on_by_default if row is None else row.status != InstigatorStatus.STOPPED
    data = row.instigator_data if row else None
    started = last = succeeded = None
    if isinstance(data, ScheduleInstigatorData):
        started = data.start_timestamp
    elif isinstance(data, SensorInstigatorData):
        # Dagster takes it away when a tick begins, and puts it back unless the tick fails.
        succeeded = data.last_tick_success_timestamp
        started, last = data.last_sensor_start_timestamp, succeeded or data.last_tick_timestamp
    return Instigator(name, kind, is_on, _instant(started), _instant(last), interval, succeeded is not None, row)


def _instant(timestamp: float | None) -> datetime | None:
    return datetime.fromtimestamp(timestamp, UTC) if timestamp else None


def ticks_since(instance: dg.DagsterInstance, instigator: Instigator, since: datetime) -> dict[datetime, list[Tick]]:
    """Returns a schedule's ticks by the slot they are for, in order."""
    ticks_by_slot: dict[datetime, list[Tick]] = {}
    for row in reversed(_rows(instance, instigator, since, None)):
        at = datetime.fromtimestamp(row.timestamp, UTC)
        ended = _instant(row.end_timestamp) or at
        is_load_error = row.error is not None and _is_load_error(row.error)
        status = "waiting" if STILL_WAITS in (row.skip_reason or "") else row.status.value.lower()
        ticks_by_slot.setdefault(at, []).append(Tick(status, ended, is_load_error))
    return ticks_by_slot


def has_load_error(context: dg.SensorEvaluationContext, place: Location, since: datetime) -> bool:
    """Returns whether a tick of the code location failed since an instant because its code could not be loaded."""
    return any(
        row.error is not None and _is_load_error(row.error)
        for instigator in instigators(context, place).values()
        for row in _rows(instance_of(context), instigator, since, 10)
    )


def _is_load_error(error: SerializableErrorInfo) -> bool:
    return any(cls in _LOAD_ERRORS for cls in error_classes(error))


def _rows(
    instance: dg.DagsterInstance, instigator: Instigator, since: datetime, most: int | None
) -> Sequence[InstigatorTick]:
    if instigator.state is None:
        return []
    after = since.timestamp() - 1
    return instance.get_ticks(
        instigator.state.instigator_origin_id, instigator.state.selector_id, after=after, limit=most
    )


def newest_request(
    context: dg.SensorEvaluationContext, place: Location, sensor: str
) -> tuple[Sequence[dg.RunRequest], timedelta] | None:
    """Returns what the newest tick of a sensor that asked for runs asked for, and how long it took to be stored."""
    # An instance in memory keeps no ticks.
    state = instigators(context, place)[sensor].state if instance_of(context).is_persistent else None
    if state is None:
        return None
    newest_ticks = instance_of(context).get_ticks(
        state.instigator_origin_id, state.selector_id, limit=1, statuses=[TickStatus.SUCCESS]
    )
    if not newest_ticks or not newest_ticks[0].end_timestamp:
        return None
    return newest_ticks[0].run_requests or [], timedelta(
        seconds=newest_ticks[0].end_timestamp - newest_ticks[0].timestamp
    )


def runs_since(
    instance: dg.DagsterInstance, place: Location, schedule: str, work: dg.AssetKey, since: datetime
) -> list[tuple[datetime, ScheduledRun]]:
    """Returns the runs that a schedule asked for, each with its slot, in the order of their creation.

    Args:
        instance: Dagster's instance.
        place: The code location of the schedule.
        schedule: Name of the schedule.
        work: The asset whose materialisation is the work.
        since: The earliest slot of interest.
    """
    records = instance.get_run_records(
        dg.RunsFilter(tags={**place.tags, SCHEDULE_NAME_TAG: schedule}, created_after=since - timedelta(seconds=1)),
        limit=_MOST_RECORDS,
    )
    if not records:
        return []
    worked = {
        materialization.run_id: datetime.fromtimestamp(materialization.timestamp, UTC)
        for materialization in instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=work, after_timestamp=since.timestamp() - 1),
            limit=_MOST_RECORDS,
        ).records
    }
    scheduled_runs: list[tuple[datetime, ScheduledRun]] = []
    for record in reversed(records):
        slot_at = record.dagster_run.tags.get(SCHEDULED_EXECUTION_TIME_TAG)
        if slot_at is None:
            continue
        run, status = record.dagster_run, record.dagster_run.status
        updated_at = record.update_timestamp.replace(tzinfo=UTC)
        ended_at = (_instant(record.end_time) or updated_at) if run.is_finished else None
        started_at = _instant(record.start_time) or (updated_at if status in _UNDER_WAY else None)
        is_busy = status == dg.DagsterRunStatus.FAILURE and run.run_id not in worked and is_busy_failure(instance, run)
        scheduled_runs.append(
            (
                datetime.fromisoformat(slot_at).astimezone(UTC),
                ScheduledRun(run.run_id, started_at, ended_at, worked.get(run.run_id), is_busy),
            )
        )
    return scheduled_runs


def is_busy_failure(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Returns whether a run failed because the warehouse stayed busy."""
    failed = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE, limit=5).records
    return any(
        "WarehouseBusy" in classes for classes in (failure_classes(failure.event_log_entry) for failure in failed)
    )


def failure_classes(log_entry: dg.EventLogEntry) -> list[str]:
    """Returns the class names of the errors behind a failed step or run, outermost first; never their messages."""
    event = log_entry.dagster_event
    data: Any = event.event_specific_data if event else None
    first = getattr(data, "first_step_failure_event", None)
    if first is not None:
        data = first.event_specific_data
    return error_classes(getattr(data, "error", None))


def error_classes(error: SerializableErrorInfo | None) -> list[str]:
    """Returns the class names of an error and of what caused it, outermost first."""
    names: list[str] = []
    while error is not None and len(names) < 10:
        names.append(error.cls_name or "")
        error = error.cause or error.context
    return names


@dataclass(frozen=True, slots=True)
class FailedRun:
    """The event of a run's failure.

    Attributes:
        storage_id: Its place in the event log.
        at: When it failed.
        job: Name of the job.
        run_id: Dagster's id of the run.
        cause: Class of the error behind it, in snake case; ``unknown_cause`` if there is none.
        is_ours: Whether it is a run of the code location.
    """

    storage_id: int
    at: datetime
    job: str
    run_id: str
    cause: str
    is_ours: bool


def failed_runs(instance: dg.DagsterInstance, place: Location, after: int, most: int) -> list[FailedRun]:
    """Returns up to ``most`` failures after a place in the event log, in order; those of other locations are marked."""
    failures: list[FailedRun] = []
    while len(failures) < most:
        records = instance.fetch_run_status_changes(
            dg.RunStatusChangeRecordsFilter(
                dg.DagsterEventType.RUN_FAILURE, after_storage_id=failures[-1].storage_id if failures else after
            ),
            limit=min(_MOST_RECORDS, most - len(failures)),
            ascending=True,
        ).records
        ours = owned(instance, place, (record.run_id for record in records))
        failures += [_failed_run(record, is_ours=record.run_id in ours) for record in records]
        if len(records) < _MOST_RECORDS:
            break
    return failures


def _failed_run(record: dg.EventLogRecord, *, is_ours: bool) -> FailedRun:
    log_entry = record.event_log_entry
    classes = [name for name in failure_classes(log_entry) if name]
    cause = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", classes[-1]).lower() if classes else "unknown_cause"
    return FailedRun(
        record.storage_id,
        datetime.fromtimestamp(record.timestamp, UTC),
        log_entry.job_name or "unknown",
        record.run_id,
        cause if _WORD.fullmatch(cause) else "unknown_cause",
        is_ours,
    )


def newest_failure(instance: dg.DagsterInstance) -> int:
    """Returns the place of the newest failure in the event log; 0 if no run ever failed."""
    newest = instance.fetch_run_status_changes(dg.DagsterEventType.RUN_FAILURE, limit=1).records
    return newest[0].storage_id if newest else 0


def has_succeeded_since(instance: dg.DagsterInstance, place: Location, job: str, since: datetime) -> bool:
    """Returns whether a run of a job of the code location, or of its home, has succeeded after an instant."""
    return any(
        instance.get_runs(
            dg.RunsFilter(job_name=job, statuses=[dg.DagsterRunStatus.SUCCESS], updated_after=since, tags=tags), limit=1
        )
        for tags in (place.tags, place.home)
    )


@dataclass(frozen=True, slots=True)
class FailedTick:
    """A tick that failed: when, and the class of its error."""

    at: datetime
    error: str


def failures_in_a_row(instance: dg.DagsterInstance, instigator: Instigator, since: datetime) -> list[FailedTick]:
    """Returns an instigator's newest ticks as long as they failed, newest first; a tick under way does not count."""
    if instigator.has_succeeded:
        return []
    # A tick under way comes first, so two rows say how the newest ended; more are read only if it failed.
    failed = _failures(_rows(instance, instigator, since, 2)) and _failures(_rows(instance, instigator, since, 100))
    return [FailedTick(datetime.fromtimestamp(row.timestamp, UTC), _innermost(row.error)) for row in failed]


def _failures(rows: Sequence[InstigatorTick]) -> list[InstigatorTick]:
    ended = (row for row in rows if row.status.value != "STARTED")
    return list(takewhile(lambda row: row.status.value == "FAILURE", ended))


def _innermost(error: SerializableErrorInfo | None) -> str:
    return next((name for name in reversed(error_classes(error)) if name), "unknown")


def queue(instance: dg.DagsterInstance, place: Location) -> tuple[int, datetime | None]:
    """Returns how many runs of the code location wait in the queue, and since when the first of them does."""
    waiting = dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED], tags=place.tags)
    oldest = instance.get_run_records(waiting, limit=1, ascending=True)
    if not oldest:
        return 0, None
    return instance.get_runs_count(waiting), oldest[0].create_timestamp.replace(tzinfo=UTC)
