"""What a quiet home costs: instances of Dagster that ticks open, and how many ticks there are in a minute."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, SensorInstigatorData, TickStatus
from dagster._grpc.impl import get_external_sensor_execution

from cavra_pipeline.settings import Settings
from tests.dagster_tests.runs import code_location, new_home, tick
from tests.dagster_tests.test_neighbours import OURS, code_of
from tests.dagster_tests.test_watching import origin, put_tick

#: Sensors that look at the home alone while nothing has changed in it.
OF_THE_HOME = ("drop_sensor", "late_evidence_sensor", "source_sensor")


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The instances that were opened by their reference."""
    found, from_ref = list[str](), dg.DagsterInstance.from_ref

    def noted(ref: Any) -> dg.DagsterInstance:
        found.append(str(ref.local_artifact_storage_data))
        return from_ref(ref)

    monkeypatch.setattr(dg.DagsterInstance, "from_ref", noted)
    return found


def tick_served(settings: Settings, instance: dg.DagsterInstance, name: str) -> Any:
    """A tick as a code server evaluates it for the daemon."""
    repository = code_location(settings).get_repository_def()
    decision: Any = get_external_sensor_execution(
        repository, code_of(OURS), instance.get_ref(), name, None, None, None, None, None
    )
    assert hasattr(decision, "cursor"), decision
    return decision


def test_ticks_of_every_sensor_open_the_instance_once_and_another_one_again(tmp_path: Path, opened: list[str]) -> None:
    settings = new_home(tmp_path)
    names = [one.name for one in code_location(settings).get_repository_def().sensor_defs]
    with dg.instance_for_test() as instance, dg.instance_for_test() as other:
        for name in [*names, *names]:
            tick_served(settings, instance, name)
        assert len(opened) == 1
        tick_served(settings, other, "watcher_sensor")
        assert len(set(opened)) == len(opened) == 2
        assert "watcher_sensor" not in str(tick_served(settings, other, "watcher_sensor").skip_message)
        assert len(opened) == 2


@pytest.mark.parametrize("name", OF_THE_HOME)
def test_a_quiet_tick_of_what_looks_at_the_home_opens_no_instance(name: str, tmp_path: Path, opened: list[str]) -> None:
    settings = new_home(tmp_path)
    with dg.instance_for_test() as instance:
        tick_served(settings, instance, name)
    assert opened == []


def test_nine_ticks_a_minute_are_not_exceeded(tmp_path: Path) -> None:
    sensors = code_location(new_home(tmp_path)).get_repository_def().sensor_defs

    assert sum(60 / (one.minimum_interval_seconds or 30) for one in sensors) <= 9


@pytest.mark.parametrize("has_ended_well", [True, False])
def test_ticks_of_a_sensor_are_read_only_where_its_newest_has_not_ended_well(
    has_ended_well: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, get_ticks = list[str](), dg.DagsterInstance.get_ticks

    def noted(instance: dg.DagsterInstance, origin_id: str, selector_id: str, **how: Any) -> Any:
        read.append(selector_id)
        return get_ticks(instance, origin_id, selector_id, **how)

    monkeypatch.setattr(dg.DagsterInstance, "get_ticks", noted)
    with dg.instance_for_test() as instance:
        data = SensorInstigatorData(
            last_tick_timestamp=1.0, last_tick_success_timestamp=2.0 if has_ended_well else None
        )
        state = InstigatorState(origin("drop_sensor"), InstigatorType.SENSOR, InstigatorStatus.RUNNING, data)
        instance.add_instigator_state(state)
        put_tick(instance, state, datetime.now(UTC), TickStatus.FAILURE, "KeyError")

        decision = tick(new_home(tmp_path), "watcher_sensor", instance)

    assert bool(read) is not has_ended_well
    assert ("sensor_error drop_sensor" in decision.skip_message) is not has_ended_well
