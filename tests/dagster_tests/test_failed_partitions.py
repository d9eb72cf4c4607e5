"""The check that names the partitions whose newest run failed, reported by the sensor without a run."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from cavra_pipeline.failed_partitions import PARTITIONS_CHECK, failed_partitions
from cavra_pipeline.settings import Settings
from cavra_pipeline.warehouse.connection import FileWarehouse
from tests.dagster_tests.runs import DAY, QUIET, code_location, key, new_home, run, tick
from tests.support import delivery

pytestmark = pytest.mark.slow

BEFORE = DAY - timedelta(days=1)
TABLE = "closure"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return new_home(tmp_path, [delivery()])


def failed(settings: Settings, instance: dg.DagsterInstance) -> dict[dg.AssetKey, Any]:
    return failed_partitions(instance, code_location(settings).resolve_asset_graph().assets_defs)


def fail(settings: Settings, instance: dg.DagsterInstance, days: list[date]) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(FileWarehouse, "reading", lambda *_: 1 / 0)
        assert not run(settings, days, assets=[TABLE], instance=instance).success


def results(decision: Any) -> list[tuple[str, bool]]:
    return [(one.check_name, one.passed) for one in decision.asset_events]


def test_a_partition_is_named_from_its_failed_run_until_it_is_made(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    first = tick(settings, "failed_run_sensor", instance)
    fail(settings, instance, [BEFORE, DAY])

    red = tick(settings, "failed_run_sensor", instance, first.cursor)
    assert results(red) == [(PARTITIONS_CHECK, False)]
    shown = {name: value.value for name, value in red.asset_events[0].metadata.items()}
    assert shown[f"cavra/{TABLE}"] == f"{BEFORE}, {DAY}"
    assert shown["failed_partition_count"] == 2
    same = tick(settings, "failed_run_sensor", instance, red.cursor)
    assert results(same) == []
    assert run(settings, [DAY], assets=[TABLE], instance=instance).success
    fewer = tick(settings, "failed_run_sensor", instance, same.cursor)
    assert results(fewer) == [(PARTITIONS_CHECK, False)]
    assert failed(settings, instance) == {key(TABLE): [BEFORE.isoformat()]}
    assert run(settings, [BEFORE], assets=[TABLE], instance=instance).success
    green = tick(settings, "failed_run_sensor", instance, fewer.cursor)
    assert results(green) == [(PARTITIONS_CHECK, True)]
    assert results(tick(settings, "failed_run_sensor", instance, green.cursor)) == []


def test_the_first_tick_names_what_failed_before_anybody_watched(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    assert results(tick(settings, "failed_run_sensor", instance)) == [(PARTITIONS_CHECK, True)]
    fail(settings, instance, [BEFORE])

    first = tick(settings, "failed_run_sensor", instance)
    assert results(first) == [(PARTITIONS_CHECK, False)]
    assert results(tick(settings, "failed_run_sensor", instance, first.cursor)) == []


def test_a_made_partition_whose_newest_run_failed_is_named_and_no_other_asset(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    assert run(settings, [DAY], assets=[TABLE, "recoveries"], instance=instance).success
    assert failed(settings, instance) == {}
    fail(settings, instance, [DAY])

    assert failed(settings, instance) == {key(TABLE): [DAY.isoformat()]}


def test_the_daily_close_judges_the_partitions_too(settings: Settings, instance: dg.DagsterInstance) -> None:
    fail(settings, instance, [BEFORE])
    close = code_location(settings).resolve_job_def("daily_close")
    done = close.execute_in_process(partition_key=DAY.isoformat(), run_config=QUIET, instance=instance)

    (found,) = (one for one in done.get_asset_check_evaluations() if one.check_name == PARTITIONS_CHECK)
    assert not found.passed
    assert found.asset_key == key("dashboard")
