"""The code location of a home on a lake: its assets make the reports that they make from a file, and compact it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from cavra_pipeline.definitions import build_defs
from cavra_pipeline.evidence.ingest import ingest
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.settings import Settings
from tests.dagster_tests.runs import DAY, QUIET, asked_days, new_home, reports, run, tick
from tests.lake.buckets import BucketServer
from tests.lake.homes import MakeHome, environ_of
from tests.support import NOW, Line, acknowledgement, at, delivery, drop, plan, query, text, worker_run

LINES: list[Line] = [delivery(at(90), failed=["slack"]), acknowledgement(at(70)), plan(at(50)), worker_run(at(45))]


@pytest.fixture
def on_lake(lake_home: MakeHome, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A home on a lake, which the variables name as on a host."""
    home = lake_home({DAY.isoformat(): LINES}, start_date="2026-06-20")
    for name, value in {"CAVRA_HOME": str(home.home), **environ_of(home)}.items():
        monkeypatch.setenv(name, value)
    return home


def undated(home: Settings) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Every saved report without when it was saved."""
    return {key: {**one, "generated_at": None} for key, one in reports(home).items()}


def test_a_run_on_a_lake_saves_the_reports_that_it_saves_on_a_file(on_lake: Settings, tmp_path: Path) -> None:
    file = new_home(tmp_path / "file", {DAY.isoformat(): LINES})

    for home in (on_lake, file):
        assert run(home).success

    assert len(reports(file)) > 10
    assert undated(on_lake) == undated(file)
    assert not on_lake.warehouse.exists()


def test_a_lake_is_compacted_by_a_nightly_job_of_its_own_and_a_file_has_none(on_lake: Settings, tmp_path: Path) -> None:
    for number in range(5):
        drop(on_lake, [delivery(at(number), subject=f"plan-{number}", failed=["slack"])], name=f"{number}.jsonl")
        ingest(on_lake, now=NOW)
    location = build_defs(on_lake)
    with warehouse_of(on_lake).reading() as session:
        before = session.tuples("SELECT * FROM deliveries ORDER BY ALL")

    with dg.DagsterInstance.ephemeral() as instance:
        done = location.resolve_job_def("compact_lake").execute_in_process(run_config=QUIET, instance=instance)

    assert done.success
    with warehouse_of(on_lake).reading() as session:
        assert session.tuples("SELECT * FROM deliveries ORDER BY ALL") == before
    assert location.resolve_schedule_def("compact_lake").cron_schedule == "20 2 * * *"
    names = {one.name for one in build_defs(new_home(tmp_path / "file")).get_repository_def().schedule_defs}
    assert "verify_history" in names
    assert "compact_lake" not in names


def test_a_landing_file_in_a_bucket_is_asked_for_and_ingested_from_there(
    lake_home: MakeHome, server: BucketServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = lake_home(start_date="2026-06-20", landing_address="s3://landing/zone")
    variables = {"CAVRA_HOME": str(home.home), "CAVRA_LANDING_URL": "s3://landing/zone", **environ_of(home)}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    server.put(f"landing/zone/{DAY}/evidence.jsonl", text(LINES))

    with dg.DagsterInstance.ephemeral() as instance:
        asked = asked_days(tick(home, "drop_sensor", instance))
        assert asked == [(DAY.isoformat(), DAY.isoformat())]
        assert run(home, instance=instance).success

    assert query(home, "SELECT count(*) FROM evidence") == [(4,)]
    assert not (home.home / "landing").exists()
