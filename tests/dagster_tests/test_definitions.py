"""The code location: it loads without a warning, and everything in it says what it is and whose."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from cavra_pipeline.assets.registry import GROUPS
from cavra_pipeline.definitions import build_defs
from cavra_pipeline.jobs import SOURCE_GROUP
from cavra_pipeline.lanes import LANES
from cavra_pipeline.resources import RESOURCE_KEY, drop_days, first_partition
from cavra_pipeline.settings import load_settings
from tests.dagster_tests.runs import EVIDENCE, REPORTS, key, new_home
from tests.support import acknowledgement, home_with

DEFS = build_defs()
GRAPH = DEFS.resolve_asset_graph()
KEYS = sorted(GRAPH.get_all_asset_keys())


def test_the_code_location_loads_where_every_deprecation_is_an_error(tmp_path: Path) -> None:
    script = "import cavra_pipeline.definitions as d; print(len(list(d.defs.resolve_all_asset_keys())))"

    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning", "-W", "error::FutureWarning", "-c", script],
        env={**os.environ, "CAVRA_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) == len(KEYS)
    assert not (tmp_path / "home").exists()


def test_the_assets_are_the_tables_and_reports_of_the_contract() -> None:
    names = {key.path[-1] for key in KEYS}

    assert {"landing_zone", *EVIDENCE, *REPORTS} <= names
    dg.Definitions.validate_loadable(DEFS)


def test_every_group_of_the_registry_is_used_and_described() -> None:
    # The sources of a home are in test_sources.py.
    assert {GRAPH.get(key).group_name for key in KEYS} == set(GROUPS) - {SOURCE_GROUP}
    assert all(GROUPS.values())


def test_every_check_job_schedule_and_sensor_says_what_it_is_for() -> None:
    checks = [GRAPH.get_check_spec(key) for key in GRAPH.asset_check_keys]
    repository = DEFS.get_repository_def()

    assert len(checks) >= 5 + len(REPORTS)
    assert all(check.description for check in checks)
    assert all(schedule.description for schedule in repository.schedule_defs)
    assert all(sensor.description for sensor in repository.sensor_defs)
    assert all(job.description for job in repository.get_all_jobs() if not job.name.startswith("__"))


def test_every_report_follows_from_what_it_rests_on() -> None:
    for lane in LANES:
        health = GRAPH.get(key(f"{lane}_retry_health"))
        parents = {key.path[-1] for key in health.parent_keys}
        assert {"deliveries", "acknowledgements", "retry_plans", "worker_runs", "executions"} <= parents
        assert key("deliveries") in GRAPH.get(key(f"{lane}_retry_plan")).parent_keys
    assert key("landing_zone") in GRAPH.get(key("evidence")).parent_keys


def test_reports_and_evidence_are_partitioned_by_utc_day_from_the_start_to_today_included() -> None:
    now = datetime.now(UTC)
    for name in (*EVIDENCE, *REPORTS):
        partitions = GRAPH.get(key(name)).partitions_def
        assert isinstance(partitions, dg.DailyPartitionsDefinition), name
        keys = partitions.get_partition_keys(current_time=now)
        assert (keys[0], keys[-1]) == (first_partition(load_settings()).isoformat(), now.date().isoformat())
        assert GRAPH.get(key(name)).backfill_policy == dg.BackfillPolicy.single_run()


def test_the_start_date_and_the_home_come_from_the_settings(tmp_path: Path) -> None:
    settings = new_home(tmp_path)
    defs = build_defs(settings)

    partitions = defs.resolve_asset_graph().get(key("dashboard")).partitions_def
    assert isinstance(partitions, dg.DailyPartitionsDefinition)
    assert partitions.has_partition_key("2026-06-20")
    assert not partitions.has_partition_key("2026-06-19")
    # The connectors are always those of the host.
    found = (defs.resources or {})[RESOURCE_KEY].settings
    assert found.but(connectors_file=None, start_date=settings.start_date) == settings


@pytest.mark.parametrize(
    ("days", "first"),
    [
        ([], "2025-01-01"),
        (["2026-06-25", "2026-06-24"], "2026-06-24"),
        (["2025-01-01", "2026-06-24"], "2025-01-01"),
        (["2024-12-31", "2026-06-24"], "2026-06-24"),
        (["2100-01-01"], "2025-01-01"),
    ],
)
def test_partitions_begin_with_the_first_day_that_has_landing_files(
    tmp_path: Path, days: list[str], first: str
) -> None:
    settings = home_with(tmp_path, {day: [acknowledgement()] for day in days})

    assert drop_days(settings).get_first_partition_key() == first
    assert drop_days(settings.but(start_date=date(2026, 1, 2))).get_first_partition_key() == "2026-01-02"


def test_partitions_of_a_home_whose_first_files_came_today_begin_with_yesterday(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    settings = home_with(tmp_path, {now.date().isoformat(): [acknowledgement()]})

    assert now.date() - timedelta(days=1) <= first_partition(settings) < datetime.now(UTC).date()


def test_everything_that_writes_stands_in_one_pool() -> None:
    for name in (*EVIDENCE, *REPORTS):
        assert GRAPH.get(key(name)).pools == {"cavra_warehouse"}, name
