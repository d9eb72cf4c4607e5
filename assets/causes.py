"""Provider incidents as an asset, and what a forecast adds to a lane's health: numbers that sensors reckon from."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import dagster as dg

from cavra_pipeline.assets.launch import days_of
from cavra_pipeline.assets.links import console, report_page
from cavra_pipeline.assets.metadata import show_days, table
from cavra_pipeline.assets.registry import KINDS, WAREHOUSE_POOL, owners_of, transient_retried
from cavra_pipeline.assets.slots import DAILY
from cavra_pipeline.assets.tables import ROW_COUNT, document_table
from cavra_pipeline.causes.problems import exhaustion, failed_executions, shown_incidents
from cavra_pipeline.documents import identify
from cavra_pipeline.escaping import visible
from cavra_pipeline.jobs import DASHBOARD_GROUP, PROVIDER_INCIDENTS, WHY, asset_key
from cavra_pipeline.lanes import LANES, Lane
from cavra_pipeline.reports.incidents import INCIDENT_COLUMNS, incident_reports
from cavra_pipeline.reports.store import Report, evaluated_at
from cavra_pipeline.resources import Home
from cavra_pipeline.retention.horizon import answerable_days
from cavra_pipeline.retry.sender import connector_check
from cavra_pipeline.settings import Settings

CHECK: Final = "no_open_incident"
_READ: Final = ("deliveries", "acknowledgements", "executions", *(f"{lane}_retry_worker" for lane in LANES))
_LISTED: Final = ("provider", "lane", "cause", "began_at", "ended_at", "failure_count", "subject_count")


def build_incidents_asset(partitions: dg.PartitionsDefinition[str], settings: Settings) -> dg.AssetsDefinition:
    """Returns the provider incidents of each day."""
    key = asset_key(settings, PROVIDER_INCIDENTS)

    @dg.asset(
        key=key,
        group_name=DASHBOARD_GROUP,
        description="Which providers are or were broken, since when and why, over all lanes (contract section 14).",
        deps=[asset_key(settings, name) for name in _READ],
        partitions_def=partitions,
        owners=owners_of(settings, DASHBOARD_GROUP),
        kinds=KINDS,
        metadata={**document_table(PROVIDER_INCIDENTS, INCIDENT_COLUMNS), **console(settings, "incidents")},
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=WAREHOUSE_POOL,
        freshness_policy=DAILY,
        check_specs=[dg.AssetCheckSpec(CHECK, asset=key, description="Passes when no provider incident is open.")],
    )
    def provider_incidents_asset(context: dg.AssetExecutionContext, home: Home) -> dg.MaterializeResult:  # type: ignore[type-arg]  # read at run time
        now = datetime.now(UTC)
        moment_of = {day: evaluated_at(day, now) for day in days_of(context)}
        with transient_retried(), home.warehouse.reading() as session:
            # What was shown of days of which the evidence has been pruned stays as it is.
            days = answerable_days(session, moment_of)
            reports = incident_reports(session, instants=[moment_of[day] for day in days], now=now)
            failed = failed_executions(session, moment_of[days[-1]])
        shown = {
            day: {**_metadata(report), **report_page(home.settings, "incidents", report["as_of"])}
            for day, report in zip(days, reports, strict=True)
        }
        # A sensor decides by the newest instant alone.
        newest = reports[-1]
        shown[days[-1]] |= {
            "open_incidents": dg.MetadataValue.json(shown_incidents(newest)),
            "failed_executions": dg.MetadataValue.json(failed),
        }
        show_days(context, context.asset_key, shown)
        count = newest["open_incident_count"]
        context.log.info("%d days; %d incidents are open on %s", len(days), count, days[-1])
        version = identify(PROVIDER_INCIDENTS, {name: newest[name] for name in newest if name != "generated_at"})
        return dg.MaterializeResult(
            data_version=dg.DataVersion(version) if len(days) == 1 else None,
            check_results=[
                dg.AssetCheckResult(
                    check_name=CHECK,
                    passed=count == 0,
                    severity=dg.AssetCheckSeverity.ERROR,
                    metadata={WHY: _why(newest), "open_incident_count": count, "day": days[-1].isoformat()},
                )
            ],
        )

    return provider_incidents_asset


def _why(report: Mapping[str, Any]) -> str:
    """Returns the first line of the check."""
    open_ = sorted(
        {
            f"{incident['provider']} ({incident['cause']})"
            for incident in report["incidents"]
            if incident["ended_at"] is None
        }
    )
    return visible(f"Broken: {', '.join(open_)}") if open_ else "No provider is broken."


def _metadata(report: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers for the plots, and a table for a person."""
    rows = report["incidents"]
    open_incidents = [incident for incident in rows if incident["ended_at"] is None]
    newest = sorted(rows, key=lambda incident: (incident["ended_at"] is None, incident["began_at"]), reverse=True)
    return {
        "as_of": report["as_of"],
        "alert_level": "critical" if open_incidents else "healthy",
        ROW_COUNT: len(rows),
        "incident_count": len(rows),
        "open_incident_count": len(open_incidents),
        "open_failure_count": sum(incident["failure_count"] for incident in open_incidents),
        "open_pair_count": sum(len(incident["pairs"]) for incident in open_incidents),
        "details": table(
            _LISTED, [[incident[name] for name in _LISTED] for incident in newest], "No provider incident."
        ),
    }


def exhausted_ahead(home: Home, lane: Lane, newest: Report) -> dict[str, Any]:
    """Returns what will be exhausted in the 24 hours after the newest health report of a run, to show beside it."""
    as_of = datetime.fromisoformat(newest.document["as_of"])
    with home.warehouse.reading() as session:
        forecast = exhaustion(session, lane, as_of=as_of, now=as_of, has_connector=connector_check(home.settings))
    return {
        "exhausted_within_24h": sum(forecast["exhausted_at"].values()),
        "exhaustion": dg.MetadataValue.json(forecast),
    }
