"""A run with another instant or policy: refused at launch if a value is bad, and never in place of the day's report."""

from __future__ import annotations

import importlib.util
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from cavra_pipeline.assets import launch
from cavra_pipeline.errors import UsageError
from cavra_pipeline.sensors.shown import newest_shown
from tests.dagster_tests.runs import DAY, EVIDENCE, checks, key, metadata_of, new_home, report_ids, reports, run
from tests.support import delivery

pytestmark = pytest.mark.slow

PLAN = "recovery_escalation_retry_plan"
HEALTH = "recovery_escalation_retry_health"


@pytest.mark.parametrize(
    ("asset", "config"),
    [
        (PLAN, {"max_retry_attempts": 0}),
        (PLAN, {"max_retry_attempts": 101}),
        (PLAN, {"as_of": "yesterday"}),
        (PLAN, {"non_retryable_status_codes": [99]}),
        (HEALTH, {"window_hours": 0}),
        (HEALTH, {"expected_interval_minutes": 0}),
        ("recoveries", {"recovery_slo_minutes": 0}),
        ("dashboard", {"as_of": ""}),
        ("executive_recovery_report", {"window_days": 367}),
    ],
)
def test_a_bad_value_is_refused_at_launch_and_nothing_saved(
    asset: str, config: dict[str, object], tmp_path: Path
) -> None:
    settings = new_home(tmp_path)
    with pytest.raises(dg.DagsterInvalidConfigError, match=next(iter(config))):
        run(settings, assets=[asset], config={asset: config})
    assert reports(settings) == {}


def test_a_bad_value_is_refused_by_a_dagster_that_has_no_error_of_its_own_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = new_home(tmp_path)
    monkeypatch.delattr("dagster._config.PostProcessingError")
    spec = importlib.util.spec_from_file_location("launch_elsewhere", str(launch.__file__))
    assert spec
    assert spec.loader
    elsewhere = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(elsewhere)
    assert elsewhere._Refused is None
    monkeypatch.undo()
    monkeypatch.setattr(launch, "_Refused", None)

    with pytest.raises(UsageError, match="max_retry_attempts"):
        run(settings, assets=[PLAN], config={PLAN: {"max_retry_attempts": 0}})


def test_a_what_if_is_marked_and_leaves_the_days_report(tmp_path: Path) -> None:
    settings = new_home(tmp_path, [delivery()])
    own = run(settings, assets=[*EVIDENCE, PLAN])
    before = report_ids(settings)
    assert checks(own)["is_own_report"] == (True, "WARN")
    assert "what_if" not in metadata_of(own, PLAN)

    asked = run(settings, assets=[PLAN], config={PLAN: {"max_retry_attempts": 9}})

    assert asked.success
    assert metadata_of(asked, PLAN)["what_if"] is True
    assert checks(asked)["is_own_report"] == (False, "WARN")
    assert checks(asked)[f"{PLAN} is_healthy"] == checks(own)[f"{PLAN} is_healthy"]
    kept = [row for row in report_ids(settings) if not row[0].startswith("asked_")]
    assert kept == before
    assert {row[2] for row in report_ids(settings)} == {DAY}


def test_a_what_if_of_health_has_no_forecast_and_the_days_own_report_has(tmp_path: Path) -> None:
    settings = new_home(tmp_path, [delivery()])

    own = run(settings, assets=[*EVIDENCE, HEALTH])
    asked = run(settings, assets=[HEALTH], config={HEALTH: {"window_hours": 9}})

    assert {"exhaustion", "exhausted_within_24h"} <= metadata_of(own, HEALTH).keys()
    assert metadata_of(asked, HEALTH)["what_if"] is True
    assert not {"exhaustion", "exhausted_within_24h"} & metadata_of(asked, HEALTH).keys()


@pytest.mark.parametrize("day", [date(2026, 6, 25), date(2026, 6, 20)])
def test_what_ifs_hide_no_report_from_the_sensors_however_many_are_newer(day: date) -> None:
    asset, now = key(HEALTH), datetime(2026, 6, 25, 12, tzinfo=UTC)

    def show(instance: dg.DagsterInstance, hour: int, **more: Any) -> None:
        metadata = {"as_of": f"{day}T{hour:02}:00:00+00:00", **more}
        instance.report_runless_asset_event(
            dg.AssetMaterialization(asset, partition=day.isoformat(), metadata=metadata)
        )

    with dg.DagsterInstance.ephemeral() as instance:
        assert newest_shown(instance, asset, now) is None
        show(instance, 9, what_if=True)
        assert newest_shown(instance, asset, now) is None
        show(instance, 7)
        for _ in range(45):
            show(instance, 10, what_if=True)

        found = newest_shown(instance, asset, now)
        assert found is not None
        assert found["as_of"] == f"{day}T07:00:00+00:00"
        assert newest_shown(instance, asset, now, having="open_incidents") is None
