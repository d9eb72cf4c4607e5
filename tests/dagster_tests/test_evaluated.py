"""Whether alerts are those of now: every sensor that is on has ticked lately."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest import mock

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, SensorInstigatorData
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from cavra_pipeline.daemon import evaluation_of_alerts
from cavra_pipeline.desired_state import DESIRED_STATE, SENSOR
from cavra_pipeline.resources import dagster_instance
from tests.dagster_tests.runs import new_home

NOW = datetime(2026, 6, 25, 12, 0, tzinfo=UTC)
NAMES = [declared.name for declared in DESIRED_STATE if declared.kind == SENSOR]
_LOCATION = ManagedGrpcPythonEnvCodeLocationOrigin(LoadableTargetOrigin(module_name="cavra_pipeline.definitions"))
_REPOSITORY = RemoteRepositoryOrigin(_LOCATION, "__repository__")


def ticked(instance: dg.DagsterInstance, name: str, minutes: int | None, *, is_on: bool = True) -> None:
    """Stores that a sensor has ticked so long ago; None while its first tick is under way."""
    at = None if minutes is None else (NOW - timedelta(minutes=minutes)).timestamp()
    data = SensorInstigatorData(
        min_interval=30, last_tick_timestamp=at or NOW.timestamp(), last_tick_success_timestamp=at
    )
    status = InstigatorStatus.DECLARED_IN_CODE if is_on else InstigatorStatus.STOPPED
    origin = RemoteInstigatorOrigin(_REPOSITORY, name)
    instance.add_instigator_state(InstigatorState(origin, InstigatorType.SENSOR, status, data))


@pytest.mark.parametrize(
    ("minutes", "is_on", "is_evaluated"),
    [
        (1, True, True),
        (5, True, True),
        (6, True, False),
        (600, True, False),
        (600, False, True),
        (None, True, False),
    ],
)
def test_a_sensor_that_has_not_ticked_since_a_pause_leaves_alerts_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, minutes: int | None, is_on: bool, is_evaluated: bool
) -> None:
    settings = new_home(tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(settings.dagster_home))
    with dagster_instance(settings) as instance:
        for name in NAMES[:-1]:
            ticked(instance, name, 0)
        assert not evaluation_of_alerts(instance, NOW).is_current, "one has never ticked"

        ticked(instance, NAMES[-1], minutes, is_on=is_on)

        assert evaluation_of_alerts(instance, NOW).is_current is is_evaluated


def test_the_states_of_the_sensors_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = new_home(tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(settings.dagster_home))
    with dagster_instance(settings) as instance:
        for name in NAMES:
            ticked(instance, name, 2)
        with mock.patch.object(instance, "all_instigator_state", wraps=instance.all_instigator_state) as reading:
            assert evaluation_of_alerts(instance, NOW) == (True, NOW - timedelta(minutes=2))
        reading.assert_called_once()


def test_alerts_are_of_the_oldest_tick_of_a_sensor_that_is_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = new_home(tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(settings.dagster_home))
    with dagster_instance(settings) as instance:
        assert evaluation_of_alerts(instance, NOW).since is None
        ticked(instance, NAMES[0], 2)
        ticked(instance, NAMES[1], 600, is_on=False)
        for name in NAMES[2:-1]:
            ticked(instance, name, 0)
        assert evaluation_of_alerts(instance, NOW).since == NOW - timedelta(minutes=2)

        ticked(instance, NAMES[-1], None)
        assert evaluation_of_alerts(instance, NOW).since is None, "its first tick is under way"
