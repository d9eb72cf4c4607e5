"""Schedules on both sides of midnight UTC, and while the run before still waits."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from cavra_pipeline.definitions import build_defs
from cavra_pipeline.jobs import HOME_TAG, home_tag
from cavra_pipeline.settings import load_settings
from tests.dagster_tests.runs import EVIDENCE, REPORTS

pytestmark = pytest.mark.slow

SETTINGS = load_settings()
DEFS = build_defs(SETTINGS)
HALF_HOUR = timedelta(minutes=30)


def partitions_of_tick(schedule: str, moment: datetime) -> list[str | None]:
    """The partitions that a schedule asks for at an instant."""
    with dg.DagsterInstance.local_temp() as instance:
        requests = tick_of(schedule, moment, instance).run_requests
    return [one.partition_key for one in requests or []]


def tick_of(schedule: str, moment: datetime, instance: dg.DagsterInstance) -> Any:
    """What a schedule decides at an instant."""
    repository = DEFS.get_repository_def()
    context = dg.build_schedule_context(instance, scheduled_execution_time=moment, repository_def=repository)
    return DEFS.resolve_schedule_def(schedule).evaluate_tick(context)


@pytest.mark.parametrize(
    ("schedule", "moment", "day"),
    [
        ("recovery_retry_worker", "2026-06-25T23:30:00+00:00", "2026-06-25"),
        ("recovery_retry_worker", "2026-06-26T00:00:00+00:00", "2026-06-26"),
        ("recovery_retry_worker", "2026-06-25T20:00:00-04:00", "2026-06-26"),
        ("executive_delivery_retry", "2026-06-25T23:00:00+00:00", "2026-06-25"),
        ("executive_delivery_retry", "2026-06-26T00:00:00+00:00", "2026-06-26"),
        ("daily_close", "2026-06-26T00:15:00+00:00", "2026-06-25"),
        ("daily_close", "2026-03-01T00:15:00+00:00", "2026-02-28"),
    ],
)
def test_a_tick_asks_for_the_utc_day_it_is_about(schedule: str, moment: str, day: str) -> None:
    assert partitions_of_tick(schedule, datetime.fromisoformat(moment)) == [day]


def test_a_schedule_skips_while_its_run_for_the_same_day_still_waits(tmp_path: Path) -> None:
    instance = dg.DagsterInstance.local_temp(str(tmp_path))
    name, moment = "recovery_retry_worker", datetime(2026, 6, 25, 23, 30, tzinfo=UTC)
    tags = {"dagster/schedule_name": name, "dagster/partition": "2026-06-25", **home_tag(SETTINGS)}
    waiting = dg.DagsterRun(job_name=name, run_id=str(uuid.uuid4()), status=dg.DagsterRunStatus.NOT_STARTED, tags=tags)
    instance.add_run(waiting)

    skipped = tick_of(name, moment, instance)

    assert not skipped.run_requests
    assert (
        skipped.skip_message == f"Run {waiting.run_id} still waits for its turn, and will do the same for 2026-06-25."
    )
    assert [one.partition_key for one in tick_of(name, moment + HALF_HOUR, instance).run_requests] == ["2026-06-26"]
    assert tick_of("executive_delivery_retry", moment, instance).run_requests
    instance.delete_run(waiting.run_id)
    instance.add_run(
        dg.DagsterRun(job_name=name, run_id=str(uuid.uuid4()), status=dg.DagsterRunStatus.STARTED, tags=tags)
    )
    assert tick_of(name, moment, instance).run_requests


def test_a_run_of_another_home_that_waits_keeps_no_schedule_from_its_own(tmp_path: Path) -> None:
    instance = dg.DagsterInstance.local_temp(str(tmp_path))
    name, moment = "recovery_retry_worker", datetime(2026, 6, 25, 23, 30, tzinfo=UTC)
    tags = {"dagster/schedule_name": name, "dagster/partition": "2026-06-25"}

    def waits(home: dict[str, str]) -> dg.DagsterRun:
        status = dg.DagsterRunStatus.NOT_STARTED
        return dg.DagsterRun(job_name=name, run_id=str(uuid.uuid4()), status=status, tags={**tags, **home})

    for home in ({}, {HOME_TAG: "another"}):
        instance.add_run(waits(home))

    (asked,) = tick_of(name, moment, instance).run_requests

    assert home_tag(SETTINGS).items() <= asked.tags.items()
    instance.add_run(waits(asked.tags))
    assert not tick_of(name, moment, instance).run_requests


def test_the_cadences_are_those_of_the_lanes_in_utc_and_all_are_on() -> None:
    schedules = {one.name: one for one in DEFS.get_repository_def().schedule_defs}

    assert {name: one.cron_schedule for name, one in schedules.items()}.items() >= {
        ("recovery_retry_worker", "*/30 * * * *"),
        ("executive_delivery_retry", "0 * * * *"),
        ("daily_close", "15 0 * * *"),
    }
    assert {one.execution_timezone for one in schedules.values()} == {"UTC"}
    assert {one.default_status for one in schedules.values()} == {dg.DefaultScheduleStatus.RUNNING}
    assert {one.job_name for one in schedules.values()} <= {
        job.name for job in DEFS.get_repository_def().get_all_jobs()
    }


def test_the_daily_close_makes_every_report_and_the_half_hourly_job_only_its_lanes() -> None:
    def assets(job: str) -> set[str]:
        return {key.path[-1] for key in DEFS.resolve_job_def(job).asset_layer.executable_asset_keys}

    assert {*EVIDENCE, *REPORTS} <= assets("daily_close")
    assert "recovery_escalation_retry_health" in assets("recovery_retry_worker")
    assert not any(name.startswith("executive") for name in assets("recovery_retry_worker"))
    assert "executive_report_retry_health" in assets("executive_delivery_retry")
    assert not any(name.startswith("recovery") for name in assets("executive_delivery_retry"))


def test_the_offset_of_a_clock_does_not_move_a_day() -> None:
    east = datetime(2026, 6, 26, 0, 30, tzinfo=timezone(timedelta(hours=1)))

    assert partitions_of_tick("recovery_retry_worker", east) == ["2026-06-25"]
