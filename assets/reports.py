"""The report assets: for each lane a retry plan and a retry-health report, and one dashboard over all lanes."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import partial
from typing import Any, Final

import dagster as dg
from pydantic import Field

from cavra_pipeline.assets.causes import exhausted_ahead
from cavra_pipeline.assets.launch import checked_config, values_of
from cavra_pipeline.assets.metadata import show_days, table
from cavra_pipeline.assets.registry import WAREHOUSE_POOL, owners_of, report_kinds, transient_retried
from cavra_pipeline.assets.report_checks import OWN_CHECK, check_config, healthy, own
from cavra_pipeline.assets.slots import DAILY, fresh_for
from cavra_pipeline.assets.tables import ROW_COUNT, saved_reports_table
from cavra_pipeline.declared import with_fields_of
from cavra_pipeline.errors import PipelineError
from cavra_pipeline.jobs import DASHBOARD_GROUP, WHAT_IF, asset_key
from cavra_pipeline.lanes import LANES, Lane
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

Shown = dg.MetadataValue


@with_fields_of(RetryPolicy, is_plain=True)
class PlanConfig(dg.Config):
    """The retry policy; a field that is not set has the lane's default (contract section 6)."""

    as_of: str | None = Field(None, description="ISO-8601 instant to plan for; each day's end, or now, if not set.")


@with_fields_of(HealthParameters, is_plain=True)
class HealthConfig(dg.Config):
    """What health is judged by; a field that is not set has the lane's default (contract section 7)."""

    as_of: str | None = Field(None, description="ISO-8601 instant to judge; each day's end, or now, if not set.")


@with_fields_of(RecoveryParameters, is_plain=True)
class RecoveriesConfig(dg.Config):
    """How long a recovery may be open (contract section 11)."""

    as_of: str | None = Field(None, description="ISO-8601 instant to judge; each day's end, or now, if not set.")


class MomentConfig(dg.Config):
    """The instant of a report."""

    as_of: str | None = Field(None, description="ISO-8601 instant to judge; each day's end, or now, if not set.")


def build_report_assets(partitions: dg.PartitionsDefinition[str], settings: Settings) -> Sequence[dg.AssetsDefinition]:
    """Returns the report assets of every lane, the recoveries, the closure and the dashboard."""
    made: list[dg.AssetsDefinition] = []
    for lane in LANES.values():
        made += [_plan_asset(lane, partitions, settings), _health_asset(lane, partitions, settings)]
    return [*made, *(build(partitions, settings) for build in (_recoveries_asset, _closure_asset, _dashboard_asset))]


def _asset(
    name: str,
    *,
    settings: Settings,
    group: str,
    description: str,
    deps: Sequence[str],
    partitions: dg.PartitionsDefinition[str],
    check: str,
    freshness: dg.FreshnessPolicy,
    config: type[dg.Config],
    lane: Lane | None = None,
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    key = asset_key(settings, name)
    return dg.asset(
        key=key,
        group_name=group,
        description=description,
        deps=[asset_key(settings, one) for one in deps],
        partitions_def=partitions,
        owners=owners_of(settings, group),
        kinds=report_kinds(settings),
        metadata=saved_reports_table(),
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=WAREHOUSE_POOL,
        freshness_policy=freshness,
        check_specs=[
            dg.AssetCheckSpec("is_healthy", asset=key, description=check),
            dg.AssetCheckSpec(
                OWN_CHECK, asset=key, description="The newest run made the day's own report, no what-if."
            ),
        ],
        config_schema=checked_config(config, partial(check_config, name, lane), of=name),
    )


def _plan_asset(lane: Lane, partitions: dg.PartitionsDefinition[str], settings: Settings) -> dg.AssetsDefinition:
    @_asset(
        f"{lane.name}_retry_plan",
        settings=settings,
        group=lane.name,
        description="Retry, wait or suppress for each failing delivery of the lane, judged at the end of the day.",
        deps=["deliveries", "executions"],
        partitions=partitions,
        check="Nothing is waiting to be retried and nothing is exhausted.",
        freshness=fresh_for(lane),
        config=PlanConfig,
        lane=lane,
    )
    def retry_plan_asset(context: dg.AssetExecutionContext, home: Home) -> dg.MaterializeResult:  # type: ignore[type-arg]  # read at run time
        return _materialize(context, home, RETRY_PLAN, lane)

    return retry_plan_asset


def _health_asset(lane: Lane, partitions: dg.PartitionsDefinition[str], settings: Settings) -> dg.AssetsDefinition:
    @_asset(
        f"{lane.name}_retry_health",
        settings=settings,
        group=lane.name,
        description="Is the lane's worker running, are plans fresh, what failed, what waits for a person?",
        deps=[
            "deliveries",
            "acknowledgements",
            "retry_plans",
            "worker_runs",
            "executions",
            f"{lane.name}_retry_worker",
        ],
        partitions=partitions,
        check="Passes when the lane has no alerts.",
        freshness=fresh_for(lane),
        config=HealthConfig,
        lane=lane,
    )
    def retry_health_asset(context: dg.AssetExecutionContext, home: Home) -> dg.MaterializeResult:  # type: ignore[type-arg]  # read at run time
        return _materialize(context, home, RETRY_HEALTH, lane)

    return retry_health_asset


def _recoveries_asset(partitions: dg.PartitionsDefinition[str], settings: Settings) -> dg.AssetsDefinition:
    @_asset(
        RECOVERIES,
        settings=settings,
        group=DASHBOARD_GROUP,
        description="Which recoveries are open, which are past their limit, which were closed (contract section 11).",
        deps=["evidence", "deliveries", "acknowledgements"],
        partitions=partitions,
        check="Passes when no recovery is open; WARN while one is, ERROR once one is past its limit.",
        freshness=DAILY,
        config=RecoveriesConfig,
    )
    def recoveries_asset(context: dg.AssetExecutionContext, home: Home) -> dg.MaterializeResult:  # type: ignore[type-arg]  # read at run time
        return _materialize(context, home, RECOVERIES, None)

    return recoveries_asset


def _closure_asset(partitions: dg.PartitionsDefinition[str], settings: Settings) -> dg.AssetsDefinition:
    @_asset(
        CLOSURE,
        settings=settings,
        group=DASHBOARD_GROUP,
        description="Can the loop be closed, and what keeps it open? (contract section 12)",
        deps=["deliveries", *(f"{lane}_retry_health" for lane in LANES), RECOVERIES],
        partitions=partitions,
        check="Passes when nothing is open.",
        freshness=DAILY,
        config=MomentConfig,
    )
    def closure_asset(context: dg.AssetExecutionContext, home: Home) -> dg.MaterializeResult:  # type: ignore[type-arg]  # read at run time
        return _materialize(context, home, CLOSURE, None)

    return closure_asset


def _dashboard_asset(partitions: dg.PartitionsDefinition[str], settings: Settings) -> dg.AssetsDefinition:
    @_asset(
        DASHBOARD,
        settings=settings,
        group=DASHBOARD_GROUP,
        description="Counts over all lanes and per lane (contract section 9).",
        deps=[
            *(f"{lane}_retry_health" for lane in LANES),
            *(f"{lane}_retry_plan" for lane in LANES),
            RECOVERIES,
            CLOSURE,
            "quarantine",
            "findings",
        ],
        partitions=partitions,
        check="Passes when no lane is critical.",
        freshness=DAILY,
        config=MomentConfig,
    )
    def dashboard_asset(context: dg.AssetExecutionContext, home: Home) -> dg.MaterializeResult:  # type: ignore[type-arg]  # read at run time
        return _materialize(context, home, DASHBOARD, None)

    return dashboard_asset


def _materialize(
    context: dg.AssetExecutionContext,
    home: Home,
    report: str,
    lane: Lane | None,
) -> dg.MaterializeResult:  # type: ignore[type-arg]  # read at run time
    """Saves the report of each day of the run and shows it: numbers for the plots, a table for a person."""
    parameters = values_of(context)
    as_of = parameters.pop("as_of", None)
    days = [date.fromisoformat(key) for key in context.partition_keys]
    kept: list[Report] = []

    try:
        # What was saved before a failure stays in the list.
        for one in save_reports(
            home.warehouse,
            home.state,
            report,
            lane.name if lane else None,
            days,
            now=datetime.now(UTC),
            as_of=as_of,
            parameters=parameters,
        ):
            kept.append(one)
            if len(kept) % DAYS_TOGETHER == 0:
                context.log.info("%s: %d of %d days are saved, up to %s", report, len(kept), len(days), one.day)
    except PipelineError as error:
        # A step that fails has no result: say which days are saved, so that only the others count as failed.
        for one in kept:
            context.log_event(
                dg.AssetMaterialization(context.asset_key, metadata=report_metadata(one), partition=one.day.isoformat())
            )
        with transient_retried():
            raise error
    beside = _beside_health(home, lane, kept) if lane and report == RETRY_HEALTH else {}
    shown = {one.day: {**report_metadata(one), **beside.get(one.day, {})} for one in kept}
    show_days(context, context.asset_key, shown)
    if len(kept) < len(days):
        context.log.warning("%d days are left as they are: their evidence has been pruned", len(days) - len(kept))
    newest = kept[-1]
    context.log.info("%s of %d days; %s is %s", report, len(kept), newest.day, newest.document["alert_level"])
    return dg.MaterializeResult(
        data_version=dg.DataVersion(newest.report_id) if len(kept) == 1 and not newest.is_what_if else None,
        check_results=[healthy(home.state, newest), own(kept)],
    )


def asset_of(settings: Settings, one: Report) -> dg.AssetKey:
    """Returns the asset that a report belongs to."""
    return asset_key(settings, f"{one.lane}_{one.report}" if one.lane else one.report)


def report_metadata(one: Report) -> dict[str, Any]:
    """Returns what Dagster shows of a report, whoever made it: a table for a person, numbers for the plots."""
    numbers, view = _SHOWN[one.report]
    return {**_common(one), **numbers(one.document), "details": view(one.document)}


def _beside_health(home: Home, lane: Lane, kept: Sequence[Report]) -> dict[date, dict[str, Any]]:
    """What the slot ledger counts beside each report's outages, and what lies ahead; the report is evidence alone."""
    with state_of(home.settings).reading() as c:
        counts = slots_of_reports(c, [one.document for one in kept])
    # Of the newest day only: a forecast takes as long as the reports of many days, and is about what comes.
    ahead = exhausted_ahead(home, lane, kept[-1])
    return {
        one.day: {
            **(ahead if one is kept[-1] else {}),
            "slots": table(("verdict", "slots"), list(found.items()), "No slot is judged in this window."),
            "missed_slot_count": found.get("missed", 0),
        }
        for one, found in zip(kept, counts, strict=True)
    }


def _common(one: Report) -> dict[str, Any]:
    return {
        ROW_COUNT: 1,
        "report_id": one.report_id,
        "as_of": one.document["as_of"],
        "alert_level": one.document["alert_level"],
        "evidence_record_count": int(one.document["evidence_record_count"]),
        **({WHAT_IF: True} if one.is_what_if else {}),
    }


def _plan_numbers(plan: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: int(plan[name]) for name in ("decision_count", "retryable_count", "waiting_count", "suppressed_count")
    }


_HEALTH_NUMBERS: Final = (
    "alert_count", "missed_run_count", "worker_run_count", "unresolved_delivery_count", "acknowledgement_pending_count",
    "failed_execution_count", "unresolved_failed_execution_count", "disabled_schedule_count", "future_record_count",
)  # fmt: skip


def _health_numbers(health: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers for the plots, and what the sensors decide by without opening the warehouse."""
    gaps = [gap["since"] for gap in health["acknowledgement_gaps"]]
    return {
        **{name: int(health[name]) for name in _HEALTH_NUMBERS},
        "latest_retry_plan_age_minutes": health["latest_retry_plan_age_minutes"],
        "oldest_acknowledgement_gap_at": min(gaps, default=None),
        "is_schedule_disabled": any(alert["category"].startswith("disabled_") for alert in health["alerts"]),
    }


def _dashboard_numbers(document: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name.endswith("_count") and isinstance(value, int)}


def _recovery_numbers(report: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers for the plots, and what the sensor decides by without opening the warehouse."""
    opened: dict[str, list[str]] = {}
    for row in report["recoveries"]:
        if row["slo_status"] != "closed":
            opened.setdefault(row["provider"], []).append(row["opened_at"])
    return {
        **{name: value for name, value in report.items() if name.endswith("_count")},
        "recovery_slo_minutes": report["recovery_slo_minutes"],
        "open_since": Shown.json(opened),
    }


def _recovery_rows(report: Mapping[str, Any]) -> Shown:
    names = ("playbook_id", "provider", "closure_state", "slo_status", "age_minutes", "closure_minutes")
    rows = [[row[name] for name in names] for row in report["recoveries"]]
    nothing = "No recovery playbook is known." if report["state"] == "no_playbook" else "No playbook opened a recovery."
    return table(names, rows, nothing)


def _closure_numbers(report: Mapping[str, Any]) -> dict[str, Any]:
    return {"closure_state": report["closure_state"], "open_item_count": report["open_item_count"]}


def _open_items(report: Mapping[str, Any]) -> Shown:
    return table(("item", "count"), [(_words(one["item"]), one["count"]) for one in report["open_items"]], "Nothing.")


def _decisions(plan: Mapping[str, Any]) -> Shown:
    subject = LANES[plan["lane"]].subject_field
    rows = [
        (
            one[subject], one["provider"], one["action"], _words(one["reason"]), one["retry_count"],
            _to_the_minute(one["next_retry_at"]),
        )
        for one in plan["retry_decisions"]
    ]  # fmt: skip
    columns = (subject, "provider", "action", "reason", "failures", "next retry (UTC)")
    return table(columns, rows, "Nothing is failing.")


def _alerts(health: Mapping[str, Any]) -> Shown:
    rows = [
        (alert["severity"], _words(alert["category"]), alert["message"], action)
        for alert, action in zip(health["alerts"], health["recommended_actions"], strict=True)
    ]
    return table(("severity", "alert", "what is wrong", "what to do"), rows, "No alert.")


def _words(name: object) -> str:
    """Underscores make a column as wide as the name; words wrap."""
    return str(name).replace("_", " ")


def _to_the_minute(instant: str | None) -> str | None:
    return instant[:16].replace("T", " ") if instant else None


def _lanes(document: Mapping[str, Any]) -> Shown:
    columns = ("alert_level", "evidence_record_count", "open_outage_count", "open_acknowledgement_gap_count")
    rows = [[name, *(lane[c] for c in columns)] for name, lane in document["lanes"].items()]
    return table(("lane", *columns), rows, "No lane.")


_SHOWN: Final[dict[str, tuple[Callable[[Mapping[str, Any]], dict[str, Any]], Callable[[Mapping[str, Any]], Shown]]]] = {
    RETRY_PLAN: (_plan_numbers, _decisions),
    RETRY_HEALTH: (_health_numbers, _alerts),
    RECOVERIES: (_recovery_numbers, _recovery_rows),
    CLOSURE: (_closure_numbers, _open_items),
    DASHBOARD: (_dashboard_numbers, _lanes),
}
