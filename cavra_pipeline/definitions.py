"""The composition root: settings, assets, checks, jobs, schedules and sensors become one code location.

The only module that looks outward, to ``assets`` and ``sensors``: the package links to these folders of the checkout.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from functools import partial
from typing import Any

import dagster as dg

# Backfill policies and owners are beta by name only; users can't act on the warning, so it stops here.
warnings.filterwarnings("ignore", category=dg.BetaWarning)

from cavra_pipeline.assets import build_assets, build_checks, shown_assets  # noqa: E402
from cavra_pipeline.assets.launch import in_process_today  # noqa: E402
from cavra_pipeline.assets.runless import ORIGIN_TAG, REFRESH_TAG, RunlessReports  # noqa: E402
from cavra_pipeline.daemon import daemon_and_alerts  # noqa: E402
from cavra_pipeline.desired_state import require_declared  # noqa: E402
from cavra_pipeline.jobs import build_jobs, home_tag, range_tags  # noqa: E402
from cavra_pipeline.resources import RESOURCE_KEY, Home, dagster_instance, drop_days, first_partition  # noqa: E402
from cavra_pipeline.run_pruning import build_pruning_job  # noqa: E402
from cavra_pipeline.schedules import build_nightly_schedules, build_schedules, build_source_schedule  # noqa: E402
from cavra_pipeline.sensors import build_sensors  # noqa: E402
from cavra_pipeline.settings import Settings, load_settings  # noqa: E402
from cavra_pipeline.sources import read_sources  # noqa: E402


def build_defs(settings: Settings | None = None) -> dg.Definitions:
    """Builds the code location.

    Args:
        settings: The home and its limits; read from the environment if not given.

    Raises:
        UsageError: An environment variable has a value that is not accepted.
        PipelineError: The desired state of a schedule or sensor is not declared.
    """
    settings = settings or load_settings()
    partitions = drop_days(settings)
    executor = in_process_today
    sources = read_sources(settings.sources_file)
    assets = build_assets(partitions, sources, settings)
    checks = build_checks(assets, settings)
    common: dict[str, Any] = {
        "asset_checks": checks, "resources": {RESOURCE_KEY: Home.of(settings)}, "executor": executor,
    }  # fmt: skip
    # The jobs are made of assets that can be executed; what the code location shows of a worker can't be.
    declared = build_jobs(settings, executor, has_sources=bool(sources.by_name))
    executable = dg.Definitions(assets=assets, jobs=declared, **common)
    jobs = [executable.resolve_job_def(job.name) for job in declared]
    schedules = [*build_schedules(jobs, settings), *build_nightly_schedules(settings)]
    if sources.usable:
        schedules.append(build_source_schedule(sources, settings))
    sensors = build_sensors(partitions, settings)
    require_declared([schedule.name for schedule in schedules], [sensor.name for sensor in sensors])
    return dg.Definitions(
        assets=shown_assets(assets),
        jobs=[*jobs, build_pruning_job(settings, executor)],
        schedules=schedules,
        sensors=sensors,
        **common,
    )


REFRESH_JOB = "daily_close"
REFRESH_TAGS = {REFRESH_TAG: "true", **ORIGIN_TAG}
_QUIET = {"loggers": {"console": {"config": {"log_level": "WARNING"}}}}


def open_dagster(settings: Settings, clock: Callable[[], datetime]) -> RunlessReports:
    """Opens the Dagster instance for a service that makes reports outside a run."""
    environ = {**os.environ, "CAVRA_HOME": str(settings.home), "DAGSTER_HOME": str(settings.dagster_home)}
    return RunlessReports(settings, environ, clock, partial(daemon_and_alerts, settings))


def materialize(
    settings: Settings,
    job_name: str,
    days: Sequence[date],
    *,
    run_id: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> bool:
    """Runs a job over an unbroken range of days in this process, on the Dagster instance of the settings.

    Args:
        settings: The home.
        job_name: One of ``cavra_pipeline.jobs``.
        days: The range.
        run_id: The run's id, where somebody knows it already.
        tags: Further tags of the run.

    Returns:
        Whether the run succeeded; its log is in the Dagster UI.
    """
    os.environ["DAGSTER_HOME"] = str(settings.dagster_home)
    first = settings.start_date or min(days[0], first_partition(settings))
    with dagster_instance(settings) as instance:
        result = (
            build_defs(settings.but(start_date=first))
            .resolve_job_def(job_name)
            .execute_in_process(
                instance=instance,
                tags={**range_tags(days), **home_tag(settings), **(tags or {})},
                raise_on_error=False,
                run_config=_QUIET,
                run_id=run_id,
            )
        )
    return result.success


defs = build_defs()
