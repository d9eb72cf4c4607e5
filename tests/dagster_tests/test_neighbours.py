"""A Dagster instance that other teams use too: what is theirs raises no alert and hides none of ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.events import DagsterEvent
from dagster._core.remote_origin import ManagedGrpcPythonEnvCodeLocationOrigin, RemoteRepositoryOrigin
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    ScheduleInstigatorData,
)
from dagster._core.test_utils import create_run_for_test
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from cavra_pipeline.definitions import materialize
from cavra_pipeline.jobs import home_tag
from cavra_pipeline.sensors import alerting
from cavra_pipeline.sensors.failed_runs import failed_run_sensor
from cavra_pipeline.sensors.instigators import disabled_schedule_sensor
from cavra_pipeline.sensors.slots import build_missed_worker_run_sensor
from cavra_pipeline.sensors.watchers import LONGEST_WAIT, watcher_sensor
from cavra_pipeline.settings import Settings
from tests.dagster_tests.runs import DAY, code_location, new_home
from tests.dagster_tests.test_watching import MINUTE, NOW, SCHEDULE, Told

pytestmark = pytest.mark.slow

OURS, THEIRS = "cavra_pipeline.definitions", "neighbour.py"
Status = dg.DagsterRunStatus


def code_of(location: str) -> ManagedGrpcPythonEnvCodeLocationOrigin:
    target = LoadableTargetOrigin(executable_path="python", module_name=location)
    return ManagedGrpcPythonEnvCodeLocationOrigin(target, location_name=location)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    made = Told()
    monkeypatch.setattr(alerting, "watch_pass", made)
    return made


class Watch:
    """A sensor that the daemon evaluates for our code location, on an instance with others."""

    def __init__(self, build: Callable[..., dg.SensorDefinition], settings: Settings, instance: dg.DagsterInstance):
        self.now, self.cursor = NOW, ""
        self._sensor = build(settings, clock=lambda: self.now)
        self._settings, self._instance = settings, instance

    def tick(self) -> Any:
        repository = code_location(self._settings).get_repository_def()
        with dg.SensorEvaluationContext(
            self._instance.get_ref(),
            cursor=self.cursor or None,
            repository_name=repository.name,
            repository_def=repository,
            instance=self._instance,
            code_location_origin=code_of(OURS),
        ) as context:
            decision = self._sensor.evaluate_tick(context)
        self.cursor = decision.cursor or ""
        return decision


def put_state(instance: dg.DagsterInstance, location: str, name: str, status: InstigatorStatus) -> None:
    origin = RemoteRepositoryOrigin(code_of(location), "__repository__").get_instigator_origin(name)
    data = ScheduleInstigatorData("0 3 * * *", (NOW - timedelta(days=1)).timestamp())
    instance.add_instigator_state(InstigatorState(origin, InstigatorType.SCHEDULE, status, data))


def put_run(
    instance: dg.DagsterInstance,
    job: str,
    status: dg.DagsterRunStatus,
    *,
    location: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> dg.DagsterRun:
    """A run that a code location launches, or a command executes; Dagster sets the location's tag itself."""
    repository = RemoteRepositoryOrigin(code_of(location), "__repository__") if location else None
    made: dg.DagsterRun = create_run_for_test(
        instance,
        job_name=job,
        status=Status.STARTED if status == Status.SUCCESS else status,
        tags=dict(tags or {}),
        remote_job_origin=repository.get_job_origin(job) if repository else None,
    )
    if status == Status.SUCCESS:
        # A row that is put there keeps whole seconds; that of an event, as Dagster's own have it, is exact.
        instance.report_dagster_event(DagsterEvent(dg.DagsterEventType.RUN_SUCCESS.value, job), made.run_id)
    return made


def fail(instance: dg.DagsterInstance, job: str, count: int = 1, **whose: Any) -> None:
    for _ in range(count):
        instance.report_run_failed(put_run(instance, job, Status.STARTED, **whose))


@pytest.mark.parametrize(("job", "count"), [("nightly_sales", 3), ("daily_close", 2), ("__ASSET_JOB", 1)])
def test_a_failed_job_of_another_location_raises_no_alert_and_one_of_ours_does(
    tmp_path: Path, instance: dg.DagsterInstance, told: Told, job: str, count: int
) -> None:
    watch = Watch(failed_run_sensor, new_home(tmp_path), instance)
    watch.tick()
    fail(instance, job, count, location=THEIRS)
    fail(instance, job)  # executed by a command of another home, so without a location

    assert watch.tick().skip_message.startswith("No run failed")
    assert told.newest == []

    fail(instance, job, count, location=OURS)
    assert watch.tick().skip_message.startswith(f"{count} runs failed")
    assert told.newest == [("failed_run", job, "unknown_cause", count)]


def test_a_run_that_a_command_of_this_home_executes_is_ours(
    tmp_path: Path, instance: dg.DagsterInstance, told: Told
) -> None:
    settings = new_home(tmp_path)
    watch = Watch(failed_run_sensor, settings, instance)
    watch.tick()
    fail(instance, "daily_close", tags=home_tag(settings))
    watch.tick()
    assert [(kind, job) for kind, job, *_ in told.newest] == [("failed_run", "daily_close")]

    put_run(instance, "daily_close", Status.SUCCESS, location=THEIRS)
    watch.tick()
    assert [job for _, job, *_ in told.newest] == ["daily_close"], "their success does not end our alert"

    put_run(instance, "daily_close", Status.SUCCESS, tags=home_tag(settings))
    watch.tick()
    assert told.newest == []


@pytest.mark.parametrize(("ours", "theirs", "is_off"), [
    (InstigatorStatus.STOPPED, InstigatorStatus.RUNNING, True),
    (InstigatorStatus.RUNNING, InstigatorStatus.STOPPED, False),
    (None, InstigatorStatus.STOPPED, False),
])  # fmt: skip
def test_a_schedule_of_the_same_name_elsewhere_neither_hides_nor_feigns_that_ours_is_off(
    tmp_path: Path, instance: dg.DagsterInstance, told: Told, ours: Any, theirs: InstigatorStatus, is_off: bool
) -> None:
    if ours:
        put_state(instance, OURS, "daily_close", ours)
    put_state(instance, THEIRS, "daily_close", theirs)

    Watch(disabled_schedule_sensor, new_home(tmp_path), instance).tick()

    assert [subject for _, subject, *_ in told.newest] == (["daily_close"] if is_off else [])


def test_the_ledger_counts_no_run_of_a_schedule_of_the_same_name_elsewhere(
    tmp_path: Path, instance: dg.DagsterInstance, told: Told
) -> None:
    put_state(instance, OURS, SCHEDULE, InstigatorStatus.RUNNING)
    watch = Watch(build_missed_worker_run_sensor, new_home(tmp_path), instance)
    watch.tick()
    slot = NOW.replace(minute=30)
    tags = {"dagster/schedule_name": SCHEDULE, ".dagster/scheduled_execution_time": slot.isoformat()}
    put_run(instance, SCHEDULE, Status.SUCCESS, location=THEIRS, tags=tags)

    # The slot is due at 12:30 and missed six minutes later, by the shortest grace of 20 % of half an hour.
    for minutes in (19, 23, 27):
        watch.now = NOW + minutes * MINUTE
        watch.tick()

    assert told.newest == [("missed_run", SCHEDULE, "unknown_cause", 1)]


def test_a_run_of_another_location_that_waits_is_not_our_backlog(
    tmp_path: Path, instance: dg.DagsterInstance, told: Told
) -> None:
    watch = Watch(watcher_sensor, new_home(tmp_path), instance)
    for location, expected in ((THEIRS, []), (OURS, ["run_backlog"])):
        put_run(instance, "waits", Status.QUEUED, location=location)
        (newest,) = instance.get_run_records(limit=1)
        watch.now = newest.create_timestamp.replace(tzinfo=NOW.tzinfo) + LONGEST_WAIT + MINUTE
        watch.tick()
        assert [kind for kind, *_ in told.newest] == expected


def test_the_instance_of_a_command_is_the_one_that_dagster_home_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    team = tmp_path / "team"
    team.mkdir()
    (team / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    settings = new_home(tmp_path).but(instance_home=team)
    monkeypatch.setenv("DAGSTER_HOME", str(team))

    assert materialize(settings, "daily_close", [DAY])

    with dg.DagsterInstance.from_config(str(team)) as instance:
        (run,) = instance.get_runs()
    assert home_tag(settings).items() <= run.tags.items()
    assert (team / "dagster.yaml").read_text() == "telemetry: {enabled: false}\n"
    assert not list((settings.home / "dagster").glob("history*"))
    assert not (team / "opening.lock").exists()
