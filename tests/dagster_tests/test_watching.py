"""The watching sensors as scenarios of their cursors: what each finds, says when it is quiet, and survives."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    ScheduleInstigatorData,
    TickData,
    TickStatus,
)
from dagster._core.test_utils import create_run_for_test
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._daemon.types import DaemonHeartbeat
from dagster_shared.error import SerializableErrorInfo

from cavra_pipeline.alerts.signals import Signal
from cavra_pipeline.alerts.watch import Pass
from cavra_pipeline.definitions import build_defs
from cavra_pipeline.evidence.ingest import warehouse_of
from cavra_pipeline.resources import RESOURCE_KEY, Home
from cavra_pipeline.settings import Settings
from sensors import alerting
from sensors.slots import build_missed_worker_run_sensor
from tests.dagster_tests.runs import code_location, new_home
from tests.support import query, worker_run

NOW = datetime(2026, 6, 25, 12, 10, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SCHEDULE = "recovery_retry_worker"
DEFS = build_defs()
Build = Callable[..., dg.SensorDefinition]


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as made:
        yield made


@dataclass
class Told:
    """What the life cycle of alerts was told, look by look."""

    looks: list[list[Signal]] = field(default_factory=list)
    is_busy: bool = False

    def __call__(self, settings: Settings, kinds: Sequence[str], signals: Sequence[Signal], **how: object) -> Pass:
        if self.is_busy:
            with warehouse_of(settings).writing("wait"):
                raise AssertionError("the warehouse was to be held")
        assert {one.kind for one in signals} <= set(kinds)
        self.looks.append(list(signals))
        return Pass(0, 0, len(signals), 0, 0, None, "off")

    @property
    def newest(self) -> list[tuple[str, str, str | None, int]]:
        return [(one.kind, one.subject, one.cause, one.count) for one in self.looks[-1]]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    """Stands between the sensors and the life cycle, whose own tests are elsewhere."""
    made = Told()
    monkeypatch.setattr(alerting, "watch_pass", made)
    return made


def repository(settings: Settings) -> dg.RepositoryDefinition:
    """The code location; made anew only where a setting of its schedules differs."""
    is_plain = not settings.crons and settings.environment == "production"
    return (DEFS if is_plain else code_location(settings)).get_repository_def()


@dataclass
class Watch:
    """One sensor with a clock that the test sets, and its cursor."""

    build: Build
    settings: Settings
    instance: dg.DagsterInstance
    now: datetime = NOW
    cursor: str | None = None

    def tick(self, at: datetime | None = None) -> Any:
        self.now = at or self.now
        sensor = self.build(self.settings, clock=lambda: self.now)
        with dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursor,
            repository_def=repository(self.settings),
            resources={RESOURCE_KEY: Home.of(self.settings)},
        ) as context:
            decision = sensor.evaluate_tick(context)
        assert not decision.run_requests
        assert decision.skip_message, "every tick of a watching sensor says what it saw"
        self.cursor = decision.cursor
        return decision


# --- What Dagster would have kept ----------------------------------------------------------------------------------


def origin(name: str) -> RemoteInstigatorOrigin:
    location = "cavra_pipeline.definitions"
    target = LoadableTargetOrigin(executable_path="python", module_name=location)
    code = ManagedGrpcPythonEnvCodeLocationOrigin(target, location_name=location)
    return RemoteRepositoryOrigin(code, "__repository__").get_instigator_origin(name)


def put_schedule(
    instance: dg.DagsterInstance, *, is_on: bool, name: str = SCHEDULE, started: datetime = NOW - timedelta(days=9)
) -> InstigatorState:
    status = InstigatorStatus.RUNNING if is_on else InstigatorStatus.STOPPED
    data = ScheduleInstigatorData("*/30 * * * *", started.timestamp() if is_on else None)
    state = InstigatorState(origin(name), InstigatorType.SCHEDULE, status, data)
    if instance.get_instigator_state(state.instigator_origin_id, state.selector_id):
        instance.update_instigator_state(state)
    else:
        instance.add_instigator_state(state)
    return state


def put_tick(
    instance: dg.DagsterInstance,
    state: InstigatorState,
    at: datetime,
    status: TickStatus = TickStatus.SUCCESS,
    error: str | None = None,
    run_ids: Sequence[str] = (),
) -> None:
    instance.create_tick(
        TickData(
            state.instigator_origin_id,
            state.instigator_name,
            state.instigator_type,
            status,
            at.timestamp(),
            run_ids=list(run_ids),
            selector_id=state.selector_id,
            end_timestamp=at.timestamp() + 1,
            error=SerializableErrorInfo("hidden words", [], error) if error else None,
        )
    )


def put_run(
    instance: dg.DagsterInstance, slot: datetime, status: dg.DagsterRunStatus, name: str = SCHEDULE
) -> dg.DagsterRun:
    tags = {
        "dagster/schedule_name": name,
        ".dagster/scheduled_execution_time": slot.isoformat(),
    }
    return create_run_for_test(instance, job_name=name, status=status, tags=tags)


def beat(instance: dg.DagsterInstance, at: datetime, daemon_id: str = "first", kind: str = "SENSOR") -> None:
    instance.add_daemon_heartbeat(DaemonHeartbeat(at.timestamp(), kind, daemon_id))


def ledger(settings: Settings, name: str = SCHEDULE) -> list[tuple[str, str, str | None]]:
    rows = query(
        settings, f"SELECT expected_at, verdict, cause FROM schedule_slots WHERE schedule = '{name}' ORDER BY 1"
    )
    return [(at.strftime("%H:%M"), verdict, cause) for at, verdict, cause in rows]


@contextmanager
def held(settings: Settings) -> Iterator[None]:
    """Somebody else has the warehouse open for writing."""
    with warehouse_of(settings).writing("hold it"):
        yield


# --- The missed-worker-run sensor ----------------------------------------------------------------------------------


def first_look(settings: Settings, instance: dg.DagsterInstance, at: datetime = NOW) -> Watch:
    """The sensor after its first look, with the schedule on and a daemon alive."""
    beat(instance, at)
    put_schedule(instance, is_on=True)
    watch = Watch(build_missed_worker_run_sensor, settings, instance)
    assert watch.tick(at).skip_message == "No slot has a new verdict."
    return watch


def test_after_ten_hours_without_a_daemon_each_slot_has_its_cause_and_each_alert_comes_and_goes_once(
    tmp_path: Path, instance: dg.DagsterInstance, told: Told
) -> None:
    settings = new_home(tmp_path)
    watch = first_look(settings, instance)
    back = NOW + timedelta(hours=10)
    beat(instance, back, "second")

    said = watch.tick(back).skip_message

    assert ("daemon_down", "dagster daemon", "daemon_down", 1) in told.newest
    assert ("missed_run", SCHEDULE, "daemon_down", 20) in told.newest
    assert "20 slots missed" in said
    slots = ledger(settings)
    assert len(slots) == 20
    assert {(verdict, cause) for _, verdict, cause in slots} == {("missed", "daemon_down")}
    assert slots[0][0] == "12:30"

    looks = len(told.looks)
    watch.tick(back + MINUTE)
    assert [one[0] for one in told.newest] == ["missed_run"] * 2, "the daemon is back, the slots are not served"
    watch.tick(back + 2 * MINUTE)
    assert len(told.looks) == looks + 1, "nothing changed, so nothing is told"


def test_a_code_location_that_did_not_load_is_told_apart_from_a_daemon_that_was_down(
    tmp_path: Path, instance: dg.DagsterInstance, told: Told
) -> None:
    settings = new_home(tmp_path)
    watch = first_look(settings, instance)
    back = NOW + timedelta(minutes=90)
    beat(instance, back)

    watch.tick(back)

    assert ("code_location_down", "code location", "code_location_not_loadable", 1) in told.newest
    assert {cause for _, _, cause in ledger(settings)} == {"code_location_not_loadable"}


def test_a_schedule_that_was_stopped_explains_the_slots_until_it_is_started_again(
    tmp_path: Path, instance: dg.DagsterInstance, told: Told
) -> None:
    settings = new_home(tmp_path)
    watch = first_look(settings, instance)
    put_schedule(instance, is_on=False)
    for minutes in range(4, 60, 4):
        watch.tick(NOW + minutes * MINUTE)
    put_schedule(instance, is_on=True, started=NOW + 61 * MINUTE)
    state = put_schedule(instance, is_on=True, started=NOW + 61 * MINUTE)
    put_tick(instance, state, NOW + 80 * MINUTE, TickStatus.SKIPPED)
    for minutes in range(60, 84, 4):
        watch.tick(NOW + minutes * MINUTE)

    assert ledger(settings) == [
        ("12:30", "missed", "schedule_stopped"),
        ("13:00", "missed", "schedule_stopped"),
        ("13:30", "on_time", None),
    ]
    assert [one for one in told.newest if one[1] == SCHEDULE] == []


def test_runs_say_why_their_slot_was_missed(tmp_path: Path, instance: dg.DagsterInstance, told: Told) -> None:
    now = datetime.now(UTC)
    settings = new_home(tmp_path)
    # Runs are stamped with the real clock, so here the slots are in the real past.
    slot = now.replace(minute=0 if now.minute < 30 else 30, second=0, microsecond=0)
    watch = first_look(settings, instance, slot - MINUTE)
    state = put_schedule(instance, is_on=True)
    queued = put_run(instance, slot, dg.DagsterRunStatus.NOT_STARTED)
    put_tick(instance, state, slot, run_ids=[queued.run_id])

    watch.tick(slot + 4 * MINUTE)
    assert ledger(settings) == []
    watch.tick(slot + 7 * MINUTE)
    assert [one[1:] for one in ledger(settings)] == [("missed", "queued_too_long")]
    check = told.newest
    assert ("missed_run", SCHEDULE, "queued_too_long", 1) in check


def test_worker_run_evidence_serves_a_slot_that_dagster_knows_nothing_of(
    tmp_path: Path, instance: dg.DagsterInstance, told: Told
) -> None:
    from tests.support import drop, take_in

    settings = new_home(tmp_path)
    watch = first_look(settings, instance)
    drop(settings, [worker_run(NOW + 22 * MINUTE)])
    take_in(settings)

    for minutes in (4, 8, 12, 16, 20, 24, 27):
        watch.tick(NOW + minutes * MINUTE)

    assert ledger(settings) == [("12:30", "on_time", None)]
    assert ("missed_run", SCHEDULE) not in [one[:2] for one in told.newest]


def test_a_busy_warehouse_delays_the_verdicts_and_loses_no_look(
    tmp_path: Path, instance: dg.DagsterInstance, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerting, "PATIENCE_SECONDS", 0.1)
    settings = new_home(tmp_path)
    watch = first_look(settings, instance)
    with held(settings):
        for minutes in range(4, 44, 4):
            said = watch.tick(NOW + minutes * MINUTE).skip_message
        assert said.startswith("It goes on at the next tick: the warehouse stayed busy")
    watch.tick(NOW + 44 * MINUTE)

    assert ledger(settings) == [("12:30", "missed", "unknown_cause")], "no look was lost, so no gap explains it"
    with held(settings):
        assert watch.tick(NOW + 45 * MINUTE).skip_message == "No slot has a new verdict."


def test_a_lost_cursor_goes_on_from_the_ledger_and_judges_no_slot_twice(
    tmp_path: Path, instance: dg.DagsterInstance, told: Told
) -> None:
    settings = new_home(tmp_path)
    watch = first_look(settings, instance)
    watch.tick(NOW + 4 * MINUTE)
    watch.tick(NOW + 60 * MINUTE)
    before = ledger(settings)
    for lost in (None, "not json at all", '{"memory": "{}"}'):
        watch.cursor = lost if lost != "not json at all" else json.dumps({"memory": lost})
        watch.tick(NOW + 60 * MINUTE)
        assert ledger(settings) == before
    watch.tick(NOW + 64 * MINUTE)
    watch.tick(NOW + 100 * MINUTE)
    assert [at for at, _, _ in ledger(settings)] == ["12:30", "13:00", "13:30"]


def test_a_new_cadence_holds_from_the_look_that_sees_it_and_the_old_one_is_kept(
    tmp_path: Path, instance: dg.DagsterInstance, told: Told
) -> None:
    settings = new_home(tmp_path)
    first_look(settings, instance)
    faster = replace(settings, crons={SCHEDULE: "*/20 * * * *"})
    watch = Watch(build_missed_worker_run_sensor, faster, instance)

    for minutes in (4, 8, 12, 16):
        watch.tick(NOW + minutes * MINUTE)

    kept = f"SELECT cron FROM schedule_configurations WHERE schedule = '{SCHEDULE}' ORDER BY valid_from"
    assert query(settings, kept) == [("*/30 * * * *",), ("*/20 * * * *",)]
    assert ledger(settings) == [("12:20", "missed", "unknown_cause")], "the old cadence had no slot at 12:20"


def test_where_a_schedule_is_declared_off_its_slots_are_not_expected(
    tmp_path: Path, instance: dg.DagsterInstance, told: Told
) -> None:
    settings = new_home(tmp_path)
    development = replace(settings, environment="development")
    watch = Watch(build_missed_worker_run_sensor, development, instance)
    for minutes in (0, 4, 24):
        watch.tick(NOW + minutes * MINUTE)

    assert ledger(settings) == [("12:30", "not_expected", None)]
    assert not any(one.kind == "missed_run" for look in told.looks for one in look)
