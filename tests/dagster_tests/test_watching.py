"""The watching sensors as scenarios of their cursors: what each finds, says when it is quiet, and survives."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.freshness import TimeWindowFreshnessPolicy
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.events import JobFailureData
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    ScheduleInstigatorData,
    SensorInstigatorData,
    TickData,
    TickStatus,
)
from dagster._core.test_utils import create_run_for_test
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._daemon.types import DaemonHeartbeat
from dagster_shared.error import SerializableErrorInfo
from pydantic import SecretStr

from cavra_pipeline.alerts.signals import Observation, Signal
from cavra_pipeline.assets import build_slot_checks
from cavra_pipeline.definitions import build_defs
from cavra_pipeline.desired_state import DESIRED_STATE, require_declared
from cavra_pipeline.errors import PipelineError
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.lanes import LANES
from cavra_pipeline.resources import RESOURCE_KEY, Home
from cavra_pipeline.sensors import alerting
from cavra_pipeline.sensors.boundary import boundary_sensor
from cavra_pipeline.sensors.failed_runs import MOST_EVENTS, failed_run_sensor
from cavra_pipeline.sensors.instigators import disabled_schedule_sensor
from cavra_pipeline.sensors.recoveries import recovery_limit_sensor
from cavra_pipeline.sensors.reports import acknowledgement_gap_sensor, stale_retry_plan_sensor
from cavra_pipeline.sensors.slots import build_missed_worker_run_sensor
from cavra_pipeline.sensors.watchers import watcher_sensor
from cavra_pipeline.settings import AlertPolicy, Settings
from cavra_pipeline.slots.ledger import slots_between
from cavra_pipeline.state import state_of
from tests.connectors.receiver import Receiver, answer
from tests.dagster_tests.runs import EVIDENCE, code_location, key, new_home, run
from tests.recoveries.stores import closure, playbook
from tests.support import MICROSECOND, delivery, drop, plan, query_state, take_in, worker_run
from tests.worker.support import SIGNING

pytestmark = pytest.mark.slow

NOW = datetime(2026, 6, 25, 12, 10, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
NOTHING_OLD = "No worker has missed its runs, and no newest retry plan is stale."
SCHEDULE = "recovery_retry_worker"
DEFS = build_defs()
Build = Callable[..., dg.SensorDefinition]


@dataclass
class Told:
    """What the life cycle of alerts was told, look by look."""

    looks: list[list[Signal]] = field(default_factory=list)
    is_busy: bool = False

    def __call__(self, settings: Settings, observation: Observation, **how: object) -> None:
        if self.is_busy:
            with state_of(settings).writing():
                raise AssertionError("the state database was to be held")
        assert {one.kind for one in observation.signals} <= set(observation.kinds)
        self.looks.append(list(observation.signals))

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
    """The code location; made again only where a setting of its schedules differs."""
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
    took: float = 1,
    requests: Sequence[dg.RunRequest] | None = None,
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
            end_timestamp=at.timestamp() + took,
            run_requests=requests,
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
    made: dg.DagsterRun = create_run_for_test(instance, job_name=name, status=status, tags=tags)
    return made


def beat(instance: dg.DagsterInstance, at: datetime, daemon_id: str = "first", kind: str = "SENSOR") -> None:
    instance.add_daemon_heartbeat(DaemonHeartbeat(at.timestamp(), kind, daemon_id))


def ledger(settings: Settings, name: str = SCHEDULE) -> list[tuple[str, str, str | None]]:
    with state_of(settings).reading() as c:
        slots = slots_between(c, after=NOW - timedelta(days=9), until=NOW + timedelta(days=9999), schedule=name)
    return [(one["expected_at"].strftime("%H:%M"), one["verdict"], one["cause"]) for one in slots]


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
    assert watch.tick(at).skip_message == "No scheduled run has a new verdict."
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
    assert "20 scheduled runs missed" in said
    slots = ledger(settings)
    assert len(slots) == 20
    assert {(verdict, cause) for _, verdict, cause in slots} == {("missed", "daemon_down")}
    assert slots[0][0] == "12:30"

    looks = len(told.looks)
    watch.tick(back + MINUTE)
    hourly = sorted({lane.schedule for lane in LANES.values()})
    missed = [one[:2] for one in told.newest]
    assert missed == [("missed_run", name) for name in hourly], "the daemon is back, the slots are not served"
    watch.tick(back + 2 * MINUTE)
    assert len(told.looks) == looks + 1, "nothing changed, so nothing is told"


def test_missed_slots_turn_the_work_red_in_the_ui_without_a_run_and_a_served_one_turns_it_green(
    tmp_path: Path, instance: dg.DagsterInstance, told: Told
) -> None:
    settings = new_home(tmp_path)
    watch = first_look(settings, instance)
    state = put_schedule(instance, is_on=True)
    for minutes in (4, 8, 12, 16, 20, 24):
        watch.tick(NOW + minutes * MINUTE)
    missed = watch.tick(NOW + 27 * MINUTE)
    put_tick(instance, state, NOW + 50 * MINUTE, TickStatus.SKIPPED)
    served = watch.tick(NOW + 51 * MINUTE)

    work = key("recovery_escalation_retry_worker")
    (red,) = (one for one in missed.asset_events if one.asset_key == work)
    (green,) = (one for one in served.asset_events if one.asset_key == work)
    assert (red.check_name, red.passed, red.severity) == ("slots_are_served", False, dg.AssetCheckSeverity.ERROR)
    assert red.metadata["missed_slot_count"].value == 1
    assert (green.check_name, green.passed) == ("slots_are_served", True)


def test_the_check_of_a_run_reads_the_newest_verdict_of_the_ledger(
    tmp_path: Path, instance: dg.DagsterInstance, told: Told
) -> None:
    settings = new_home(tmp_path)
    assert all(one.passed for one in checked(settings).values()), "nothing was judged yet"
    watch = first_look(settings, instance)
    watch.tick(NOW + 60 * MINUTE)

    results = checked(settings)

    assert not results["recovery_escalation_retry_worker"].passed
    assert results["recovery_escalation_retry_worker"].metadata["cause"].value == "code_location_not_loadable"
    assert results["dashboard"].passed


def checked(settings: Settings) -> dict[str, dg.AssetCheckResult]:
    """The check on the work of each schedule, as a run would make it."""
    results: dict[str, dg.AssetCheckResult] = {}
    for check in build_slot_checks(settings):
        answer: Any = check(Home.of(settings))
        results[check.check_key.asset_key.path[-1]] = answer
    return results


def test_what_a_schedule_makes_has_a_freshness_policy() -> None:
    graph = DEFS.resolve_asset_graph()
    for lane in LANES.values():
        for made in ("retry_worker", "retry_plan", "retry_health"):
            policy = graph.get(key(f"{lane.name}_{made}")).freshness_policy
            assert isinstance(policy, TimeWindowFreshnessPolicy)
            assert policy.fail_window.to_timedelta() == timedelta(minutes=2 * lane.expected_interval_minutes)
    for name in ("dashboard", "executive_recovery_report"):
        assert graph.get(key(name)).freshness_policy is not None


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
    settings = new_home(tmp_path)
    watch = first_look(settings, instance)
    drop(settings, [worker_run(NOW + 22 * MINUTE)])
    take_in(settings)

    for minutes in (4, 8, 12, 16, 20, 24, 27):
        watch.tick(NOW + minutes * MINUTE)

    assert ledger(settings) == [("12:30", "on_time", None)]
    assert ("missed_run", SCHEDULE) not in [one[:2] for one in told.newest]


@contextmanager
def held_state(settings: Settings) -> Iterator[None]:
    """Somebody else writes to the state database."""
    with state_of(settings).writing():
        yield


@pytest.mark.parametrize(("hold", "name"), [(held, "warehouse"), (held_state, "state database")])
def test_a_busy_database_delays_the_verdicts_and_loses_no_observation(
    tmp_path: Path,
    instance: dg.DagsterInstance,
    told: Told,
    monkeypatch: pytest.MonkeyPatch,
    hold: Callable[[Settings], AbstractContextManager[None]],
    name: str,
) -> None:
    monkeypatch.setattr(alerting, "PATIENCE_SECONDS", 0.1)
    settings = new_home(tmp_path)
    watch = first_look(settings, instance)
    with hold(settings):
        said = [watch.tick(NOW + minutes * MINUTE).skip_message for minutes in range(4, 44, 4)]
        assert said[-1].startswith(f"It goes on at the next tick: the {name} stayed busy")
    watch.tick(NOW + 44 * MINUTE)

    assert ledger(settings) == [("12:30", "missed", "unknown_cause")], "no look was lost, so no gap explains it"
    with held(settings):
        assert watch.tick(NOW + 45 * MINUTE).skip_message == "No scheduled run has a new verdict."


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


def test_a_lost_cursor_ends_no_alert_about_missed_slots(
    tmp_path: Path, instance: dg.DagsterInstance, told: Told
) -> None:
    settings = new_home(tmp_path)
    watch = first_look(settings, instance)
    for minutes in range(4, 80, 4):
        watch.tick(NOW + minutes * MINUTE)
    before = told.newest
    assert ("missed_run", SCHEDULE, "unknown_cause", 2) in before
    watch.cursor = None
    watch.tick(NOW + 80 * MINUTE)
    assert told.newest == before
    state = put_schedule(instance, is_on=True)
    put_tick(instance, state, NOW + 80 * MINUTE, TickStatus.SKIPPED)
    watch.tick(NOW + 81 * MINUTE)
    watch.tick(NOW + 82 * MINUTE)
    assert SCHEDULE not in {subject for _, subject, _, _ in told.newest}


def test_a_new_cadence_holds_from_the_tick_that_sees_it_and_the_old_one_is_kept(
    tmp_path: Path, instance: dg.DagsterInstance, told: Told
) -> None:
    settings = new_home(tmp_path)
    first_look(settings, instance)
    faster = settings.but(crons={SCHEDULE: "*/20 * * * *"})
    watch = Watch(build_missed_worker_run_sensor, faster, instance)

    for minutes in (4, 8, 12, 16):
        watch.tick(NOW + minutes * MINUTE)

    kept = f"SELECT cron FROM schedule_configurations WHERE schedule = '{SCHEDULE}' ORDER BY valid_from"
    assert query_state(settings, kept) == [("*/30 * * * *",), ("*/20 * * * *",)]
    assert ledger(settings) == [("12:20", "missed", "unknown_cause")], "the old cadence had no slot at 12:20"


def test_where_a_schedule_is_declared_off_its_slots_are_not_expected(
    tmp_path: Path, instance: dg.DagsterInstance, told: Told
) -> None:
    settings = new_home(tmp_path)
    development = settings.but(environment="development")
    watch = Watch(build_missed_worker_run_sensor, development, instance)
    for minutes in (0, 4, 24):
        watch.tick(NOW + minutes * MINUTE)

    assert ledger(settings) == [("12:30", "not_expected", None)]
    assert not any(one.kind == "missed_run" for look in told.looks for one in look)


# --- The disabled-schedule sensor ----------------------------------------------------------------------------------


def test_what_must_be_on_and_is_off_is_told_once_and_its_end_once(
    tmp_path: Path, instance: dg.DagsterInstance, told: Told
) -> None:
    watch = Watch(disabled_schedule_sensor, new_home(tmp_path), instance)
    quiet = "Every schedule and sensor that must be on is on, and no worker says that its schedule is off."
    assert watch.tick().skip_message == quiet

    put_schedule(instance, is_on=False)
    watch.tick(NOW + MINUTE)
    watch.tick(NOW + 2 * MINUTE)
    assert told.newest == [("instigator_off", SCHEDULE, "schedule_stopped", 1)]
    assert told.looks[-1][0].since == NOW + MINUTE
    put_schedule(instance, is_on=True)
    assert watch.tick(NOW + 3 * MINUTE).skip_message == quiet
    assert [len(look) for look in told.looks] == [0, 1, 0]


def alerts_of(settings: Settings) -> list[tuple[Any, ...]]:
    return query_state(settings, "SELECT kind, subject, state FROM alerts")


def test_a_new_state_database_has_what_is_wrong_within_an_hour(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    watch = Watch(disabled_schedule_sensor, new_home(tmp_path / "first"), instance)
    put_schedule(instance, is_on=False)
    watch.tick()

    watch.settings = new_home(tmp_path / "second")
    watch.tick(NOW + 59 * MINUTE)
    assert alerts_of(watch.settings) == []
    watch.tick(NOW + 60 * MINUTE)
    assert alerts_of(watch.settings) == [("instigator_off", SCHEDULE, "firing")]


def test_an_alert_that_only_a_backup_has_open_ends_within_an_hour(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    backup = new_home(tmp_path / "backup")
    put_schedule(instance, is_on=False)
    Watch(disabled_schedule_sensor, backup, instance).tick()
    put_schedule(instance, is_on=True)
    watch = Watch(disabled_schedule_sensor, new_home(tmp_path / "lost"), instance)
    watch.tick()

    watch.settings = backup
    watch.tick(NOW + 59 * MINUTE)
    assert alerts_of(backup) == [("instigator_off", SCHEDULE, "firing")]
    watch.tick(NOW + 60 * MINUTE)
    assert alerts_of(backup) == [("instigator_off", SCHEDULE, "resolved")]


def test_what_is_off_where_it_need_not_be_on_is_nobodys_concern(
    tmp_path: Path, instance: dg.DagsterInstance, told: Told
) -> None:
    settings = new_home(tmp_path).but(environment="development")
    put_schedule(instance, is_on=False)

    Watch(disabled_schedule_sensor, settings, instance).tick()

    assert told.looks == [[]]


def test_every_schedule_and_sensor_is_declared_and_what_is_not_does_not_load() -> None:
    schedules = [one.name for one in DESIRED_STATE if one.kind == "schedule"]
    sensors = [one.name for one in DESIRED_STATE if one.kind == "sensor"]
    require_declared(schedules, sensors)

    with pytest.raises(PipelineError, match="sensor stranger: its desired state is not declared"):
        require_declared(schedules, [*sensors, "stranger"])
    with pytest.raises(PipelineError, match=f"schedule {schedules[0]}: it is declared and not there"):
        require_declared(schedules[1:], sensors)


# --- The failed-run sensor -----------------------------------------------------------------------------------------


def put_failures(instance: dg.DagsterInstance, count: int, error: str = "SomeError") -> None:
    """So many failed runs, as the index of Dagster's event log has them; their own logs are not needed."""
    storage: Any = instance.event_log_storage
    data = JobFailureData(SerializableErrorInfo("hidden words", [], error))
    with storage.index_connection() as connection:
        for number in range(count):
            event = dg.DagsterEvent(
                dg.DagsterEventType.RUN_FAILURE.value, "job", event_specific_data=data, message="hidden words"
            )
            entry = dg.EventLogEntry(  # type: ignore[no-untyped-call]
                error_info=None, level=40, user_message="", run_id=f"run-{number}", timestamp=NOW.timestamp(),
                job_name="job", dagster_event=event,
            )  # fmt: skip
            connection.execute(storage.prepare_insert_event(entry))


def test_what_failed_before_the_first_look_is_history(tmp_path: Path, instance: dg.DagsterInstance, told: Told) -> None:
    put_failures(instance, 3)
    watch = Watch(failed_run_sensor, new_home(tmp_path), instance)

    assert watch.tick().skip_message == "No run failed since the last tick."
    assert told.looks == [[]]


def test_five_hundred_failures_are_one_alert_with_every_cause_until_a_run_succeeds(
    tmp_path: Path, instance: dg.DagsterInstance, told: Told
) -> None:
    watch = Watch(failed_run_sensor, new_home(tmp_path), instance)
    watch.tick()
    put_failures(instance, 480)
    put_failures(instance, 20, "WarehouseBusy")

    said = watch.tick().skip_message

    assert told.newest == [("failed_run", "job", "some_error", 480), ("failed_run", "job", "warehouse_busy", 20)]
    assert said.startswith("500 runs failed since the last tick.")
    assert "hidden words" not in f"{said} {watch.cursor}"
    watch.tick()
    create_run_for_test(instance, job_name="job", status=dg.DagsterRunStatus.SUCCESS)
    watch.tick()
    assert [len(look) for look in told.looks] == [0, 2, 0]


def test_a_burst_of_failed_runs_is_taken_in_two_ticks(
    tmp_path: Path, instance: dg.DagsterInstance, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CAVRA_TEST_BURST=20000 takes the real burst; by default a twentieth of it, and a twentieth of a tick's bound."""
    count = int(os.environ.get("CAVRA_TEST_BURST", "1000"))
    monkeypatch.setattr("cavra_pipeline.sensors.failed_runs.MOST_EVENTS", MOST_EVENTS * count // 20_000)
    watch = Watch(failed_run_sensor, new_home(tmp_path), instance)
    watch.tick()
    put_failures(instance, count)

    began = time.perf_counter()
    assert "there are more" in watch.tick().skip_message
    half = time.perf_counter() - began
    assert told.newest == [("failed_run", "job", "some_error", count // 2)]
    watch.tick()

    assert told.newest == [("failed_run", "job", "some_error", count)]
    assert half < 30, "a tick is over before the next is due"
    assert watch.tick().skip_message.startswith("No run failed")


# --- The sensors for stale plans and overdue acknowledgements ------------------------------------------------------


def test_a_plan_goes_stale_between_two_reports_and_the_warehouse_stays_closed(
    tmp_path: Path, instance: dg.DagsterInstance, told: Told
) -> None:
    now = datetime.now(UTC)
    today = now.date().isoformat()
    settings = new_home(tmp_path, {today: [worker_run(now), plan(now - 100 * MINUTE)]})
    stale = Watch(stale_retry_plan_sensor, settings, instance)
    gaps = Watch(acknowledgement_gap_sensor, settings, instance)
    assert stale.tick(now).skip_message == "No lane with evidence has a health report yet."
    assert run(
        settings, [now.date()], assets=(*EVIDENCE, "recovery_escalation_retry_health"), instance=instance
    ).success

    assert stale.tick(now).skip_message == NOTHING_OLD
    assert gaps.tick(now).skip_message == "No acknowledgement or approval is overdue."
    with held(settings):
        assert stale.tick(now + 19 * MINUTE).skip_message == NOTHING_OLD
    stale.tick(now + 22 * MINUTE)
    assert told.newest == [("stale_retry_plan", "recovery_escalation", "old_plan", 1)]


def test_a_worker_that_missed_two_runs_raises_an_alert_that_explains_its_stale_plan(
    tmp_path: Path, instance: dg.DagsterInstance, told: Told
) -> None:
    now = datetime.now(UTC)
    settings = new_home(tmp_path, {now.date().isoformat(): [worker_run(now - 10 * MINUTE), plan(now - 10 * MINUTE)]})
    stale = Watch(stale_retry_plan_sensor, settings, instance)
    assert run(
        settings, [now.date()], assets=(*EVIDENCE, "recovery_escalation_retry_health"), instance=instance
    ).success

    assert stale.tick(now + 49 * MINUTE).skip_message == NOTHING_OLD
    stale.tick(now + 52 * MINUTE)
    assert told.newest == [("worker_down", "recovery_escalation", None, 1)]
    (down,) = told.looks[-1]
    assert timedelta(0) <= down.since - (now + 20 * MINUTE) < MINUTE, "since the first missed run"
    stale.tick(now + 115 * MINUTE)
    assert told.newest == [
        ("worker_down", "recovery_escalation", None, 1),
        ("stale_retry_plan", "recovery_escalation", "worker_down", 1),
    ]


def test_an_acknowledgement_is_overdue_once_its_limit_is_passed(
    tmp_path: Path, instance: dg.DagsterInstance, told: Told
) -> None:
    now = datetime.now(UTC)
    settings = new_home(tmp_path, {now.date().isoformat(): [delivery(now, failed=["slack", "teams"])]})
    assert run(
        settings, [now.date()], assets=(*EVIDENCE, "recovery_escalation_retry_health"), instance=instance
    ).success
    watch = Watch(acknowledgement_gap_sensor, settings, instance)

    assert watch.tick(now + 60 * MINUTE).skip_message == "No acknowledgement or approval is overdue."
    watch.tick(now + 60 * MINUTE + timedelta(microseconds=1))

    assert told.newest == [("acknowledgement_gap", "recovery_escalation", None, 2)]


def test_an_approval_is_overdue_once_its_limit_is_passed_and_is_no_acknowledgement(
    tmp_path: Path, instance: dg.DagsterInstance, told: Told
) -> None:
    now = datetime.now(UTC)
    lane = "acknowledgement_audit"
    failed = delivery(now - 30 * MINUTE, lane=lane, failed=["slack", "teams"])
    settings = new_home(tmp_path, {(now - 30 * MINUTE).date().isoformat(): [failed]})
    days = [(now - 30 * MINUTE).date(), now.date()]
    assert run(settings, days, assets=(*EVIDENCE, f"{lane}_retry_health"), instance=instance).success
    watch = Watch(acknowledgement_gap_sensor, settings, instance)

    assert watch.tick(now + 29 * MINUTE).skip_message == "No acknowledgement or approval is overdue."
    watch.tick(now + 31 * MINUTE)

    assert told.newest == [("approval_gap", lane, None, 2)]


# --- The sensor for recoveries past their limit --------------------------------------------------------------------


def test_a_recovery_goes_past_its_limit_between_two_reports_and_its_closure_ends_the_alert(
    tmp_path: Path, instance: dg.DagsterInstance, told: Told
) -> None:
    now = datetime.now(UTC)
    day = now.date().isoformat()
    opened = [playbook(now, "slack", "teams"), playbook(now, "slack", playbook_id="playbook-2")]
    settings = new_home(tmp_path, {day: opened})
    watch = Watch(recovery_limit_sensor, settings, instance)
    assert watch.tick(now).skip_message == "There is no recovery report yet."
    assert run(settings, [now.date()], assets=(*EVIDENCE, "recoveries"), instance=instance).success

    assert watch.tick(now).skip_message == "No recovery is past its limit."
    with held(settings):
        assert watch.tick(now + 240 * MINUTE).skip_message == "No recovery is past its limit."
    watch.tick(now + 240 * MINUTE + MICROSECOND)
    assert told.newest == [
        ("recovery_past_limit", "slack", None, 2),
        ("recovery_past_limit", "teams", None, 1),
    ]

    closed = [closure(now + MICROSECOND), closure(now + MICROSECOND, playbook_id="playbook-2")]
    drop(settings, closed, day=day, name="closed.jsonl")
    assert run(settings, [now.date()], assets=(*EVIDENCE, "recoveries"), instance=instance).success
    watch.tick(now + 241 * MINUTE)
    assert told.newest == [("recovery_past_limit", "teams", None, 1)]


def test_without_a_playbook_the_recovery_sensor_says_so(
    tmp_path: Path, instance: dg.DagsterInstance, told: Told
) -> None:
    now = datetime.now(UTC)
    settings = new_home(tmp_path, {now.date().isoformat(): [delivery(now)]})
    assert run(settings, [now.date()], assets=(*EVIDENCE, "recoveries"), instance=instance).success
    assert Watch(recovery_limit_sensor, settings, instance).tick(now).skip_message == ("No recovery playbook is known.")
    assert told.newest == []


# --- The boundary sensor -------------------------------------------------------------------------------------------


def test_what_the_boundary_held_back_is_told_by_day_until_it_is_corrected(
    tmp_path: Path, instance: dg.DagsterInstance, told: Told
) -> None:
    today = datetime.now(UTC).date()
    settings = new_home(tmp_path, {today.isoformat(): ["not a record", delivery()]})
    watch = Watch(boundary_sensor, settings, instance)
    quiet = "Nothing is held back; {} new ingests of a day."
    assert watch.tick(datetime.now(UTC)).skip_message == quiet.format(0)
    assert run(settings, [today], assets=EVIDENCE, instance=instance).success
    watch.tick()
    assert told.newest == [("quarantine", today.isoformat(), None, 1)]

    (settings.landing / today.isoformat() / "evidence.jsonl").write_text(json.dumps(delivery()) + "\n")
    assert run(settings, [today], assets=EVIDENCE, instance=instance).success
    assert watch.tick().skip_message == quiet.format(1)
    assert told.looks[-1] == []


# --- The watcher of the watchers -----------------------------------------------------------------------------------


def test_a_sensor_that_fails_and_one_that_no_longer_looks_and_a_silent_daemon_are_told(
    tmp_path: Path, instance: dg.DagsterInstance, told: Told
) -> None:
    watch = Watch(watcher_sensor, new_home(tmp_path), instance)
    quiet = "Every sensor ticks, no run waits too long, every daemon has a heartbeat."
    beat(instance, NOW, kind="SCHEDULER")
    data = SensorInstigatorData(last_tick_timestamp=NOW.timestamp())
    sensor = InstigatorState(origin("drop_sensor"), InstigatorType.SENSOR, InstigatorStatus.DECLARED_IN_CODE, data)
    instance.add_instigator_state(sensor)
    assert watch.tick().skip_message == quiet
    assert watch.tick(NOW + 5 * MINUTE).skip_message == quiet

    watch.tick(NOW + 5 * MINUTE + timedelta(seconds=1))
    assert told.newest == [("tick_age", "drop_sensor", None, 1), ("daemon_heartbeat", "scheduler", None, 1)]
    beat(instance, NOW + 6 * MINUTE, kind="SCHEDULER")
    for minutes in (6, 7):
        put_tick(instance, sensor, NOW + minutes * MINUTE, TickStatus.FAILURE, "SomeError")
    instance.update_instigator_state(
        sensor.with_data(SensorInstigatorData(last_tick_timestamp=(NOW + 7 * MINUTE).timestamp()))
    )
    watch.tick(NOW + 8 * MINUTE)
    assert told.newest == [("sensor_error", "drop_sensor", "sensor_failed", 2)]
    assert told.looks[-1][0].evidence == {"error": "SomeError"}
    put_tick(instance, sensor, NOW + 8 * MINUTE, TickStatus.SKIPPED)
    assert watch.tick(NOW + 9 * MINUTE).skip_message == quiet


def test_after_a_pause_of_its_own_nothing_old_is_held_against_what_is_just_waking_up(
    tmp_path: Path, instance: dg.DagsterInstance, told: Told
) -> None:
    watch = Watch(watcher_sensor, new_home(tmp_path), instance)
    beat(instance, NOW, kind="SCHEDULER")
    watch.tick()

    watch.tick(NOW + 60 * MINUTE)
    assert told.looks == [[], []]
    watch.tick(NOW + 61 * MINUTE)
    assert told.newest == [("daemon_heartbeat", "scheduler", None, 1)]


def test_runs_that_wait_too_long_in_the_queue_are_told(
    tmp_path: Path, instance: dg.DagsterInstance, told: Told
) -> None:
    put_run(instance, NOW, dg.DagsterRunStatus.NOT_STARTED)
    now = datetime.now(UTC)
    watch = Watch(watcher_sensor, new_home(tmp_path), instance)

    watch.tick(now + 14 * MINUTE)
    assert told.newest == []
    watch.tick(now + 16 * MINUTE)
    assert told.newest == [("run_backlog", "run queue", None, 1)]


@pytest.mark.parametrize(
    ("slack", "cause"),
    [
        ("{url_env: NOT_SET}", "connector_secret_unusable"),
        ("{url_env: NOT_SET, colour: 1}", "connector_misconfigured"),
        ("7", "connector_misconfigured"),
    ],
)
def test_a_broken_connector_is_an_alert_through_the_others_and_the_ping_fails(
    slack: str, cause: str, tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGNING", SIGNING)
    with Receiver() as receiver:
        for path in ("/hook", "/ping", "/ping/start", "/ping/fail"):
            receiver.script(path, answer(200))
        settings = new_home(tmp_path).but(
            connectors_file=tmp_path / "connectors.yaml",
            alerts=AlertPolicy(connectors=("slack", "webhook")),
            deadman_url=SecretStr(f"{receiver.base_url}/ping"),
        )
        watch = Watch(watcher_sensor, settings, instance)
        webhook = f"connectors:\n  webhook: {{url: '{receiver.base_url}/hook', signing_secrets_env: SIGNING}}\n"

        def tick(entry: str, minutes: int) -> list[str]:
            """The pings at the end of a tick, and the alerts that arrived."""
            (tmp_path / "connectors.yaml").write_text(webhook + entry)
            before = len(receiver.requests())
            watch.tick(NOW + minutes * MINUTE)
            received = receiver.requests()[before:]
            told = [json.loads(one.body)["type"] for one in received if one.path == "/hook"]
            return told + [one.path for one in received if one.path in ("/ping", "/ping/fail")]

        slack_off = "  slack: {enabled: false, url_env: NOT_SET}\n"
        assert tick(slack_off, 0) == ["cavra.alert.firing", "/ping/fail"]  # alerts name slack, which is off
        watch.settings = settings.but(alerts=AlertPolicy(connectors=("webhook",)))
        assert tick(slack_off, 1) == ["cavra.alert.resolved", "/ping"]
        assert tick(slack_off, 2) == ["/ping"]
        assert tick(f"  slack: {slack}\n", 3) == ["cavra.alert.firing", "/ping/fail"]
        facts = json.loads(receiver.requests("/hook")[-1].body)["data"]["facts"]
        assert (facts["kind"], facts["subjects"], facts["causes"]) == ("broken_connector", "slack", f"{cause} 1")
        assert str(facts["evidence_key"]).startswith("connectors.slack")
        assert tick(f"  slack: {slack}\n", 4) == ["/ping/fail"]
        assert tick(slack_off, 5) == ["cavra.alert.resolved", "/ping"]


def test_what_could_not_be_told_as_the_state_was_busy_is_told_at_the_next_tick(
    tmp_path: Path, instance: dg.DagsterInstance, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerting, "PATIENCE_SECONDS", 0.1)
    settings = new_home(tmp_path)
    watch = Watch(disabled_schedule_sensor, settings, instance)
    watch.tick()
    put_schedule(instance, is_on=False)
    told.is_busy = True
    with state_of(settings).writing():
        assert "It is handed on at the next tick: the state database stayed busy" in watch.tick().skip_message
    told.is_busy = False
    watch.tick()

    assert told.newest == [("instigator_off", SCHEDULE, "schedule_stopped", 1)]
