"""Running the code location in this process on a home of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from datetime import date
from pathlib import Path
from typing import Any, Final

import dagster as dg

from cavra_pipeline.definitions import build_defs
from cavra_pipeline.jobs import range_tags
from cavra_pipeline.lanes import LANES
from cavra_pipeline.reports.store import OVER_ALL_LANES
from cavra_pipeline.resources import RESOURCE_KEY, Home
from cavra_pipeline.settings import Settings
from tests.support import home_with, saved

DAY: Final = date(2026, 6, 25)
EVIDENCE: Final = (
    "evidence", "deliveries", "acknowledgements", "retry_plans", "worker_runs", "executions", "quarantine", "findings",
)  # fmt: skip
REPORTS: Final = (
    *(f"{lane}_{report}" for lane in LANES for report in ("retry_plan", "retry_health")),
    *OVER_ALL_LANES,
)
QUIET: Final = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def key(*path: str) -> dg.AssetKey:
    """The key of an asset under the default prefix."""
    return dg.AssetKey(["cavra", *path])


def op(name: str) -> str:
    """What run configuration calls an asset, or the ingest of all evidence tables."""
    return name if name == "ingest" else key(name).to_python_identifier()


_locations: dict[str, dg.Definitions] = {}


def code_location(settings: Settings) -> dg.Definitions:
    """The code location of a home; made once, as a code server does."""
    if repr(settings) not in _locations:
        _locations.clear()
        _locations[repr(settings)] = build_defs(settings)
    return _locations[repr(settings)]


def run(
    settings: Settings,
    days: Sequence[date] = (DAY,),
    *,
    assets: Sequence[str] = (*EVIDENCE, *REPORTS),
    job: str | None = None,
    config: Mapping[str, Mapping[str, Any]] | None = None,
    instance: dg.DagsterInstance | None = None,
) -> dg.ExecuteInProcessResult:
    """Materialises assets for an unbroken range of days; a failed run is returned, not raised.

    A worker needs its job, as everywhere.
    """
    location = code_location(settings)
    definition = location.resolve_job_def(job) if job else location.resolve_implicit_global_asset_job_def()
    with nullcontext(instance) if instance else dg.DagsterInstance.ephemeral() as where:
        return definition.execute_in_process(
            asset_selection=[key(name) for name in assets],
            tags=range_tags(days) if len(days) > 1 else None,
            partition_key=days[0].isoformat() if len(days) == 1 else None,
            run_config={**QUIET, "ops": {op(name): {"config": dict(one)} for name, one in (config or {}).items()}},
            instance=where,
            raise_on_error=False,
        )


def checks(result: dg.ExecuteInProcessResult) -> dict[str, tuple[bool, str]]:
    """Each check of a run by name: whether it passed, and its severity."""
    return {
        (one.check_name if one.check_name != "is_healthy" else f"{one.asset_key.path[-1]} is_healthy"): (
            one.passed,
            one.severity.value,
        )
        for one in result.get_asset_check_evaluations()
    }


def metadata_of(result: dg.ExecuteInProcessResult, asset: str, day: date = DAY) -> dict[str, Any]:
    """What the materialisation of an asset shows for one day."""
    (event,) = (
        event
        for event in result.all_events
        if event.is_step_materialization and event.asset_key == key(asset) and event.partition == day.isoformat()
    )
    made = event.step_materialization_data.materialization
    return {name: value.value for name, value in made.metadata.items()}


def reports(settings: Settings) -> dict[tuple[str, str | None, date], dict[str, Any]]:
    """Every saved report by kind, lane and day."""
    return {key: json.loads(row["document"]) for key, row in saved(settings).items()}


def report_ids(settings: Settings) -> list[tuple[Any, ...]]:
    """The id of every saved report."""
    return [(*key, row["report_id"]) for key, row in saved(settings).items()]


def new_home(folder: Path, lines: Any = None) -> Settings:
    """A home whose partitions begin shortly before the days of the tests."""
    return home_with(folder, lines, start_date=date(2026, 6, 20))


@contextmanager
def looking(
    settings: Settings, instance: dg.DagsterInstance, cursor: str | None = None
) -> Iterator[dg.SensorEvaluationContext]:
    """The context of one tick of a sensor."""
    with dg.build_sensor_context(
        instance=instance,
        cursor=cursor,
        repository_def=code_location(settings).get_repository_def(),
        resources={RESOURCE_KEY: Home.of(settings)},
    ) as context:
        yield context


def tick(settings: Settings, name: str, instance: dg.DagsterInstance, cursor: str | None = None) -> Any:
    """What one tick of a sensor decides: run requests, skip message, cursor."""
    sensor = code_location(settings).resolve_sensor_def(name)
    with looking(settings, instance, cursor) as context:
        return sensor.evaluate_tick(context)


def asked_days(decision: Any) -> list[tuple[str, str]]:
    """The first and last day of each run a tick asks for."""
    return [
        (one.tags["dagster/asset_partition_range_start"], one.tags["dagster/asset_partition_range_end"])
        for one in decision.run_requests or []
    ]
