"""The verification as an asset: its check names what differs, and the alert follows it and resolves by itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from cavra_pipeline.alerts.operators import list_alerts
from cavra_pipeline.definitions import build_defs
from cavra_pipeline.jobs import VERIFIED_HISTORY, asset_key
from cavra_pipeline.lanes import LANES
from cavra_pipeline.sensors.boundary import boundary_sensor
from cavra_pipeline.settings import Settings
from cavra_pipeline.state import state_of
from tests.dagster_tests.runs import new_home
from tests.support import NOW, at, delivery, take_in


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as made:
        yield made


def verified(home: Settings, instance: dg.DagsterInstance) -> dg.AssetCheckEvaluation:
    """Runs the job, and returns the result of the check."""
    result = build_defs(home).resolve_job_def("verify_history").execute_in_process(instance=instance)
    assert result.success
    (evaluation,) = result.get_asset_check_evaluations()
    return evaluation


def alerts(home: Settings, instance: dg.DagsterInstance, cursor: str | None) -> tuple[list[tuple[Any, ...]], str]:
    """The open alerts after a tick of the sensor, and its cursor."""
    with dg.build_sensor_context(instance=instance, cursor=cursor) as context:
        decision = boundary_sensor(home, clock=lambda: NOW).evaluate_tick(context)
    with state_of(home).reading() as c:
        listed = list_alerts(c, home, now=NOW)["alerts"]
    assert decision.cursor is not None
    return [(one["kind"], one["severity"], one["occurrence_count"]) for one in listed], decision.cursor


@pytest.mark.slow
def test_a_changed_history_fails_the_check_and_raises_an_alert_until_it_is_restored(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    home = new_home(tmp_path, [delivery(at(60), session_id="d-1", subject="plan-1")])
    take_in(home)
    path = next(home.landing.rglob("*.jsonl"))
    content = path.read_bytes()
    first = verified(home, instance)
    found, cursor = alerts(home, instance, None)
    assert (first.passed, found) == (True, [])
    maps = {one: one.stat().st_mtime_ns for one in (home.home / "pair_maps").iterdir()}
    assert len(maps) == len(LANES)

    path.write_bytes(content.replace(b"plan-1", b"plan-9"))
    second = verified(home, instance)
    said = {name: value.value for name, value in second.metadata.items()}
    assert (second.passed, second.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert (said["landing_file_count"], said["days"], said["lanes"]) == (1, "2026-06-25", "recovery_escalation")
    assert "plan-" not in str(said)
    assert {one: one.stat().st_mtime_ns for one in maps} == maps, "no map is made of what differs"
    found, cursor = alerts(home, instance, cursor)
    assert found == [("history_changed", "critical", said["difference_count"])]

    path.write_bytes(content)
    assert verified(home, instance).passed
    found, _ = alerts(home, instance, cursor)
    assert found == []


def test_the_location_shows_the_check_and_its_job_alone_runs_the_asset(tmp_path: Path) -> None:
    home = new_home(tmp_path, [])
    defs, key = build_defs(home), asset_key(home, VERIFIED_HISTORY)
    graph = defs.resolve_asset_graph()

    assert dg.AssetCheckKey(key, "history_is_intact") in graph.asset_check_keys
    assert key in graph.get_all_asset_keys()
    assert key not in graph.executable_asset_keys
    others = [one for one in defs.get_repository_def().get_all_jobs() if key in one.asset_layer.executable_asset_keys]
    assert [one.name for one in others] == ["verify_history"]
