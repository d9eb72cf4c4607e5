"""The whole code location on an instance of each kind: ingest, late evidence, schedules, every sensor, alerts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from cavra_pipeline.definitions import materialize
from cavra_pipeline.jobs import home_tag
from cavra_pipeline.reports.store import days_to_remake
from cavra_pipeline.schedules import SCHEDULES
from cavra_pipeline.state import state_of
from tests.dagster_tests.runs import DAY, EVIDENCE, REPORTS, asked_days, code_location, key, new_home, run, tick
from tests.dagster_tests.test_neighbours import fail, put_run
from tests.support import at, delivery, drop, query, query_state

pytestmark = pytest.mark.slow

MADE = (*EVIDENCE, *REPORTS)


def made_days(instance: dg.DagsterInstance, asset: str) -> set[str]:
    return instance.get_materialized_partitions(key(asset))


def test_evidence_is_ingested_and_what_comes_late_is_refreshed(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    settings = new_home(tmp_path, [delivery(at(60), session_id="d-1", failed=["slack"])])
    first = tick(settings, "drop_sensor", instance)
    assert asked_days(first) == [(str(DAY), str(DAY))]

    assert run(settings, [DAY], assets=MADE, instance=instance).success
    assert made_days(instance, "dashboard") == {str(DAY)}
    assert query(settings, "SELECT count(*) FROM evidence") == [(1,)]

    before = DAY - timedelta(days=1)
    drop(settings, [delivery(at(50), session_id="late")], day=before.isoformat(), name="late.jsonl")
    assert run(settings, [before], assets=EVIDENCE, instance=instance).success
    assert DAY in days_to_remake(state_of(settings))
    asked = tick(settings, "late_evidence_sensor", instance)
    assert (str(DAY), str(DAY)) in [(day, day) for pair in asked_days(asked) for day in pair]
    assert run(settings, [DAY], assets=REPORTS, instance=instance).success
    assert DAY not in days_to_remake(state_of(settings))


def test_a_schedule_asks_once_for_a_run_that_waits(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    location = code_location(new_home(tmp_path))
    for name, *_ in SCHEDULES:
        context = dg.build_schedule_context(
            instance, scheduled_execution_time=datetime(2026, 6, 25, 12, tzinfo=UTC),
            repository_def=location.get_repository_def(),
        )  # fmt: skip
        decision: Any = location.resolve_schedule_def(name).evaluate_tick(context)
        assert len(decision.run_requests) == 1, name


def test_every_sensor_ticks_twice(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    settings = new_home(tmp_path, [delivery(at(60), session_id="d-1", failed=["slack"])])
    assert run(settings, [DAY], assets=MADE, instance=instance).success

    for sensor in code_location(settings).get_repository_def().sensor_defs:
        first = tick(settings, sensor.name, instance)
        again = tick(settings, sensor.name, instance, first.cursor)
        assert again.skip_message or again.run_requests, sensor.name


def test_a_failed_run_raises_its_alert_until_a_run_of_the_job_succeeds(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    settings = new_home(tmp_path)
    cursor = tick(settings, "failed_run_sensor", instance).cursor

    fail(instance, "daily_close", tags=home_tag(settings))
    cursor = tick(settings, "failed_run_sensor", instance, cursor).cursor
    assert query_state(settings, "SELECT kind, subject, state FROM alerts") == [("failed_run", "daily_close", "firing")]

    put_run(instance, "daily_close", dg.DagsterRunStatus.SUCCESS, tags=home_tag(settings))
    tick(settings, "failed_run_sensor", instance, cursor)
    assert query_state(settings, "SELECT state FROM alerts") == [("resolved",)]


def test_a_command_backfills_on_it(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    settings = new_home(tmp_path, [delivery(at(60), session_id="d-1")]).but(instance_home=Path(instance.root_directory))

    assert materialize(settings, "daily_close", [DAY])
    assert made_days(instance, "dashboard") == {str(DAY)}
