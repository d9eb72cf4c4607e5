"""The report assets: for each lane a retry plan and a retry-health report, and one dashboard over all lanes."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from functools import partial
from typing import Any, Final

import dagster as dg
from pydantic import Field

from cavra_pipeline.assets.causes import exhausted_ahead
from cavra_pipeline.assets.launch import checked_config, days_of, values_of
from cavra_pipeline.assets.links import console
from cavra_pipeline.assets.metadata import show_days, table
from cavra_pipeline.assets.registry import WAREHOUSE_POOL, owners_of, report_kinds, transient_retried
from cavra_pipeline.assets.report_checks import check_config, healthy, own_check, own_reports
from cavra_pipeline.assets.report_metadata import VIEWS, report_metadata
from cavra_pipeline.assets.slots import DAILY, fresh_for
from cavra_pipeline.assets.tables import saved_reports_table
from cavra_pipeline.declared import with_fields_of
from cavra_pipeline.errors import PipelineError
from cavra_pipeline.evidence.keeper import HomeKeeper, warehouse_of
from cavra_pipeline.jobs import DASHBOARD_GROUP, asset_key
from cavra_pipeline.lanes import LANES, Lane
from cavra_pipeline.proof.log import LogHead, head_of
from cavra_pipeline.recoveries.history import RecoveryParameters
from cavra_pipeline.reports.health import HealthParameters
from cavra_pipeline.reports.policy import RetryPolicy
from cavra_pipeline.reports.store import (
    CLOSURE,
    DASHBOARD,
    DAYS_TOGETHER,
    RECOVERIES,
    RETRY_HEALTH,
    RETRY_PLAN,
    Report,
    save_reports,
)
from cavra_pipeline.resources import Home
from cavra_pipeline.settings import Settings
from cavra_pipeline.slots.ledger import slots_of_reports
from cavra_pipeline.state import state_of
from cavra_pipeline.warehouse.schema import identity_of

#: How long the head of the commit log is waited for while somebody writes.
_HEAD_SECONDS: Final = 5.0


class MomentConfig(dg.Config):
    """The instant of a report."""

    as_of: str | None = Field(None, description="ISO-8601 instant to evaluate at; each day's end, or now, if not set.")


@with_fields_of(RetryPolicy, is_plain=True)
class PlanConfig(MomentConfig):
    """The retry policy; a field that is not set has the lane's default (contract section 6)."""


@with_fields_of(HealthParameters, is_plain=True)
class HealthConfig(MomentConfig):
    """What health is judged by; a field that is not set has the lane's default (contract section 7)."""


@with_fields_of(RecoveryParameters, is_plain=True)
class RecoveriesConfig(MomentConfig):
    """How long a recovery may be open (contract section 11)."""


def build_report_assets(partitions: dg.PartitionsDefinition[str], settings: Settings) -> Iterator[dg.AssetsDefinition]:
    """Yields the report assets of every lane, the recoveries, the closure and the dashboard."""
    build = partial(_report_asset, partitions=partitions, settings=settings)
    for lane in LANES.values():
        yield build(
            RETRY_PLAN,
            lane,
            description="Whether each failing delivery of a lane is due, waits or is exhausted at the end of the day.",
            deps=["deliveries", "executions"],
            check="Passes when nothing waits to be retried and nothing is exhausted.",
            config=PlanConfig,
        )
        worker = f"{lane.name}_retry_worker"
        yield build(
            RETRY_HEALTH,
            lane,
            description="Is the lane's worker running, are plans fresh, what failed, what waits for a person?",
            deps=["deliveries", "acknowledgements", "retry_plans", "worker_runs", "executions", worker],
            check="Passes when the lane has no alerts.",
            config=HealthConfig,
        )
    yield build(
        RECOVERIES,
        description="Which recoveries are open, which are past their limit, which were closed (contract section 11).",
        deps=["evidence", "deliveries", "acknowledgements"],
        check="Passes when no recovery is open; WARN while one is, ERROR once one is past its limit.",
        config=RecoveriesConfig,
    )
    yield build(
        CLOSURE,
        description="Can the loop be closed, and what keeps it open? (contract section 12)",
        deps=["deliveries", *(f"{lane}_retry_health" for lane in LANES), RECOVERIES],
        check="Passes when nothing is open.",
    )
    of_lanes = [f"{lane}_{report}" for report in (RETRY_HEALTH, RETRY_PLAN) for lane in LANES]
    yield build(
        DASHBOARD,
        description="Counts over all lanes and per lane (contract section 9).",
        deps=[*of_lanes, RECOVERIES, CLOSURE, "quarantine", "findings"],
        check="Passes when no lane is critical.",
    )


def _report_asset(
    report: str,
    lane: Lane | None = None,
    *,
    partitions: dg.PartitionsDefinition[str],
    settings: Settings,
    description: str,
    deps: Sequence[str],
    check: str,
    config: type[dg.Config] = MomentConfig,
) -> dg.AssetsDefinition:
    name = f"{lane.name}_{report}" if lane else report
    key, group = asset_key(settings, name), lane.name if lane else DASHBOARD_GROUP

    @dg.asset(
        key=key,
        group_name=group,
        description=description,
        deps=[asset_key(settings, dependency) for dependency in deps],
        partitions_def=partitions,
        owners=owners_of(settings, group),
        kinds=report_kinds(settings),
        metadata={**saved_reports_table(), **console(settings, VIEWS[report], lane)},
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=WAREHOUSE_POOL,
        freshness_policy=fresh_for(lane) if lane else DAILY,
        check_specs=[
            dg.AssetCheckSpec("is_healthy", asset=key, description=check),
            own_check(key),
        ],
        config_schema=checked_config(config, partial(check_config, report, lane), of=name),
    )
    def report_asset(context: dg.AssetExecutionContext, home: Home) -> dg.MaterializeResult:  # type: ignore[type-arg]  # read at run time
        return _materialize(context, home, report, lane)

    return report_asset


def _materialize(context: dg.AssetExecutionContext, home: Home, report: str, lane: Lane | None) -> dg.MaterializeResult:  # type: ignore[type-arg]  # read at run time
    """Saves the report of each day of the run and shows it: numbers for the plots, a table for a person."""
    parameters = values_of(context)
    as_of = parameters.pop("as_of", None)
    days = days_of(context)
    kept: list[Report] = []

    with transient_retried(), _saved_days_shown(context, home.settings, kept):
        for saved_report in save_reports(
            home.warehouse,
            home.state,
            report,
            lane.name if lane else None,
            days,
            now=datetime.now(UTC),
            as_of=as_of,
            parameters=parameters,
        ):
            kept.append(saved_report)
            if len(kept) % DAYS_TOGETHER == 0:
                context.log.info(
                    "%s: %d of %d days are saved, up to %s", report, len(kept), len(days), saved_report.day
                )
        beside = _beside_health(home, lane, kept) if lane and report == RETRY_HEALTH else {}
        check_results = [healthy(home.state, kept[-1]), own_reports(kept)]
        head = log_head(home.settings)
    shown = {
        saved_report.day: {**report_metadata(home.settings, saved_report, head), **beside.get(saved_report.day, {})}
        for saved_report in kept
    }
    show_days(context, context.asset_key, shown)
    if len(kept) < len(days):
        context.log.warning("%d days are left as they are: their evidence has been pruned", len(days) - len(kept))
    newest = kept[-1]
    context.log.info("%s of %d days; %s is %s", report, len(kept), newest.day, newest.document["alert_level"])
    return dg.MaterializeResult(
        data_version=dg.DataVersion(newest.report_id) if len(kept) == 1 and not newest.is_what_if else None,
        check_results=check_results,
    )


@contextmanager
def _saved_days_shown(context: dg.AssetExecutionContext, settings: Settings, saved: Sequence[Report]) -> Iterator[None]:
    """Materialises the days that are saved where the block fails: a step that fails has no result of its own."""
    try:
        yield
    except Exception:
        for report in saved:
            context.log_event(
                dg.AssetMaterialization(
                    context.asset_key, metadata=report_metadata(settings, report), partition=report.day.isoformat()
                )
            )
        raise


def log_head(settings: Settings) -> LogHead | None:
    """Returns the head of the commit log that a report of the home can be held against.

    Returns:
        None where it can't be read, which is no fault of a report, or where the warehouse has commits that are not in
        it yet.
    """
    # Who shows a report does not wait for a writer: that one has something that is not in the log.
    soon = settings.but(busy_wait_seconds=min(settings.busy_wait_seconds, _HEAD_SECONDS))
    try:
        warehouse = warehouse_of(soon)
        with warehouse.reading() as session:
            identity = identity_of(session, where=warehouse.where)
        with state_of(settings).reading() as connection:
            head = head_of(connection)
        return None if HomeKeeper(settings).is_ahead_of_state(identity) else head
    except PipelineError:
        return None


def asset_of(settings: Settings, report: Report) -> dg.AssetKey:
    """Returns the asset that a report belongs to."""
    return asset_key(settings, f"{report.lane}_{report.report}" if report.lane else report.report)


def _beside_health(home: Home, lane: Lane, kept: Sequence[Report]) -> dict[date, dict[str, Any]]:
    """Counts of scheduled runs beside each report's outages, and the forecast; the report itself is evidence alone."""
    with state_of(home.settings).reading() as c:
        counts = slots_of_reports(c, [report.document for report in kept])
    # Of the newest day only: a forecast takes as long as the reports of many days, and is about what comes. A what-if
    # gets none: the forecast is by the lane's own policy, and no sensor decides by it.
    ahead = {} if kept[-1].is_what_if else exhausted_ahead(home, lane, kept[-1])
    return {
        report.day: {
            **(ahead if report is kept[-1] else {}),
            "slots": table(
                ("verdict", "slots"), list(verdict_counts.items()), "No scheduled run is judged in this window."
            ),
            "missed_slot_count": verdict_counts.get("missed", 0),
        }
        for report, verdict_counts in zip(kept, counts, strict=True)
    }
