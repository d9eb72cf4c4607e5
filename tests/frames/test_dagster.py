"""Our tables in another team's code location, on one instance that both share."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from cavra_pipeline.errors import UsageError
from cavra_pipeline.frames import REPORTS, WAREHOUSE_TABLES
from cavra_pipeline.frames_io import CavraFrames, CavraIOManager, cavra_tables
from cavra_pipeline.settings import Settings
from tests.dagster_tests.runs import EVIDENCE, QUIET, code_location, run
from tests.dagster_tests.runs import REPORTS as REPORT_ASSETS
from tests.frames import team_location
from tests.support import MICROSECOND, REPOSITORY, at, delivery, home_with

pytestmark = pytest.mark.slow

DAYS = [date(2026, 6, day) for day in (23, 24, 25)]
PLAN = "executive_report_retry_plan"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    lines = {
        "2026-06-23": [delivery(at(2880), session_id="two-days-ago")],
        "2026-06-24": [delivery(at(1440), session_id="failed", failed=["slack"], lane="executive_report")],
        "2026-06-25": [
            delivery(at(), session_id="at-noon"),
            delivery(at() + MICROSECOND, session_id="later", failed=["teams"], providers=["slack", "teams"]),
        ],
    }
    return home_with(tmp_path_factory.mktemp("ours"), lines, start_date=date(2026, 6, 20))


@pytest.fixture(scope="module")
def instance(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    """The instance on which our location has materialised three days."""
    with dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("dagster"))) as shared:
        assert run(settings, DAYS, assets=(*EVIDENCE, PLAN, "dashboard"), instance=shared).success
        yield shared


def theirs(settings: Settings, instance: dg.DagsterInstance, name: str, partition: str | None = None) -> pd.DataFrame:
    defs = dg.Definitions(
        assets=team_location.defs.assets,
        resources={"cavra": CavraIOManager(home=str(settings.home)), "lent": CavraFrames(home=str(settings.home))},
    )
    result = defs.resolve_implicit_global_asset_job_def().execute_in_process(
        asset_selection=[dg.AssetKey(name)], partition_key=partition, instance=instance, run_config=QUIET
    )
    made = result.output_for_node(name)
    assert isinstance(made, pd.DataFrame)
    return made


def test_an_asset_of_one_day_gets_the_rows_of_that_drop_day(settings: Settings, instance: dg.DagsterInstance) -> None:
    made = theirs(settings, instance, "failed_today", "2026-06-25")
    assert list(made["session_id"]) == ["later"]
    assert made["outcomes"].iloc[0][1] == {"provider": "teams", "is_failed": True, "status_code": None}

    assert list(theirs(settings, instance, "failed_today", "2026-06-24")["session_id"]) == ["failed"]
    assert len(theirs(settings, instance, "failed_today", "2026-06-22")) == 0


def test_an_asset_of_a_week_gets_the_range_and_only_the_columns_it_asks_for(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    made = theirs(settings, instance, "weekly", "2026-06-21")
    assert list(made["session_id"]) == ["two-days-ago", "failed", "at-noon", "later"]
    assert list(made.columns) == ["session_id", "drop_day"]

    assert len(theirs(settings, instance, "weekly", "2026-06-28")) == 0


def test_an_asset_without_partitions_gets_every_day_up_to_as_of(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    made = theirs(settings, instance, "up_to_noon")
    assert list(made["session_id"]) == ["two-days-ago", "failed", "at-noon"]


def test_a_saved_report_is_a_row_of_its_day(settings: Settings, instance: dg.DagsterInstance) -> None:
    made = theirs(settings, instance, "decisions", "2026-06-24")

    assert list(made["report_day"]) == [pd.Timestamp("2026-06-24")]
    assert [one["provider"] for one in made["retry_decisions"].iloc[0]] == ["slack"]
    assert made["as_of"].iloc[0] == pd.Timestamp("2026-06-24T23:59:59.999999Z")
    assert len(theirs(settings, instance, "decisions", "2026-06-22")) == 0


def test_the_resource_answers_a_query(settings: Settings, instance: dg.DagsterInstance) -> None:
    made = theirs(settings, instance, "by_query")
    assert made.to_dict("list") == {"provider": ["slack", "teams"], "outcomes": [4, 1]}


def test_their_run_is_downstream_of_our_materialisation(settings: Settings, instance: dg.DagsterInstance) -> None:
    theirs(settings, instance, "failed_today", "2026-06-25")

    event = instance.get_latest_materialization_event(dg.AssetKey("failed_today"))
    assert event is not None
    assert event.asset_materialization is not None
    ours = team_location.TABLES["deliveries"].key
    tags = event.asset_materialization.tags or {}
    assert f"dagster/input_event_pointer/{ours.to_user_string()}" in tags
    assert instance.get_latest_materialization_event(ours) is not None


def test_the_io_manager_writes_nothing(settings: Settings, instance: dg.DagsterInstance) -> None:
    before = settings.warehouse.read_bytes()

    with pytest.raises(UsageError, match="only loads"):
        theirs(settings, instance, "written_through_ours")
    assert settings.warehouse.read_bytes() == before


def test_every_key_of_ours_that_they_can_name_is_the_key_of_our_asset(settings: Settings) -> None:
    ours = {key.path[-1]: key for key in code_location(settings).resolve_asset_graph().get_all_asset_keys()}
    named = sorted(ours.keys() & (REPORTS.keys() | WAREHOUSE_TABLES.keys()))

    assert set(named) == {*EVIDENCE, *REPORT_ASSETS}
    assert [spec.key for spec in cavra_tables(*named)] == [ours[name] for name in named]
    with pytest.raises(UsageError, match="deliverys: there is no such table"):
        cavra_tables("deliverys")


@pytest.mark.slow
def test_dagster_s_own_command_materialises_their_asset(
    settings: Settings, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "dagster", "asset", "materialize", "-m", "tests.frames.team_location"]
    environ = {**os.environ, "DAGSTER_HOME": str(tmp_path), "TEAM_CAVRA_HOME": str(settings.home)}
    done = subprocess.run(
        [*command, "--select", "failed_today", "--partition", "2026-06-25"],
        cwd=REPOSITORY, env=environ, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "RUN_SUCCESS" in done.stderr
