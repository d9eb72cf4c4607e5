"""What somebody else's run has made is not asked for again by the drop sensor; what lands after it is."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
import pytest

from cavra_pipeline.definitions import REFRESH_JOB, materialize
from cavra_pipeline.jobs import home_tag, range_tags
from cavra_pipeline.settings import Settings
from tests.dagster_tests.runs import DAY, EVIDENCE, REPORTS, asked_days, new_home, run, tick
from tests.dagster_tests.test_neighbours import put_run
from tests.support import at, delivery, drop

pytestmark = pytest.mark.slow

DAYS = [date(2026, 6, 24), DAY]
REST = ("executive_recovery_report", "provider_incidents")


def with_drops(folder: Path, instance: dg.DagsterInstance) -> Settings:
    lines = {str(day): [delivery(datetime(2026, 6, day.day, 12, tzinfo=UTC), failed=["slack"])] for day in DAYS}
    return new_home(folder, lines).but(instance_home=Path(instance.root_directory))


def asked_by(settings: Settings, instance: dg.DagsterInstance, cursor: str | None = None) -> list[tuple[str, str]]:
    return asked_days(tick(settings, "drop_sensor", instance, cursor))


def test_what_a_refresh_made_is_not_asked_for_and_a_late_file_asks_for_its_day(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    settings = with_drops(tmp_path, instance)
    assert materialize(settings, REFRESH_JOB, DAYS)

    first = tick(settings, "drop_sensor", instance)

    assert (asked_days(first), first.skip_message) == ([], "No new or changed landing file in 2 days.")
    assert not tick(settings, "late_evidence_sensor", instance).run_requests
    drop(settings, [delivery(at(50), session_id="late")], day="2026-06-24", name="late.jsonl")
    assert asked_by(settings, instance, first.cursor) == asked_by(settings, instance) == [("2026-06-24", "2026-06-24")]


def test_runs_that_each_made_a_part_count_once_all_is_made(tmp_path: Path) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        settings = new_home(tmp_path, [delivery()])
        whole = [(str(DAY), str(DAY))]
        assert run(settings, assets=EVIDENCE, instance=instance).success
        assert asked_by(settings, instance) == whole, "its reports are not made"
        assert run(settings, assets=(*REPORTS, *REST), instance=instance).success
        assert asked_by(settings, instance) == []
        # As the schedules do: the drops are the same, and the reports of this run are not all of them.
        assert run(settings, assets=EVIDENCE, instance=instance).success
        assert asked_by(settings, instance) == []
        drop(settings, [delivery()], name="more.jsonl")
        assert run(settings, assets=EVIDENCE, instance=instance).success
        assert asked_by(settings, instance) == whole, "the reports are older than the drops"


@pytest.mark.parametrize(("status", "is_asked"), [
    (dg.DagsterRunStatus.STARTED, False), (dg.DagsterRunStatus.FAILURE, True), (dg.DagsterRunStatus.SUCCESS, True),
])  # fmt: skip
def test_a_run_in_progress_is_waited_for_and_one_that_made_nothing_counts_for_nothing(
    status: dg.DagsterRunStatus, is_asked: bool, tmp_path: Path
) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        settings = new_home(tmp_path, [delivery()])
        put_run(instance, REFRESH_JOB, status, tags={**home_tag(settings), **range_tags([DAY])})

        decision = tick(settings, "drop_sensor", instance)

        assert bool(decision.run_requests) is is_asked
        if not is_asked:
            assert "1 days wait for the end of a run that makes them." in decision.skip_message
