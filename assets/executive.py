"""The executive recovery report as an asset: one for each day, as JSON, Markdown and one page.

The report of today goes out once for each scheduled instant of ``morning_report``, whoever starts the run: through the
connectors that the host names, live if it names the lane, else dry. A run with a configuration is a preview.
"""

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import dagster as dg
from pydantic import Field

from cavra_pipeline.assets.launch import checked_config, days_of, values_of
from cavra_pipeline.assets.links import console, report_page
from cavra_pipeline.assets.metadata import show_days
from cavra_pipeline.assets.registry import PAGE_KINDS, WAREHOUSE_POOL, owners_of, transient_retried
from cavra_pipeline.assets.report_checks import own_check, own_result
from cavra_pipeline.assets.slots import DAILY
from cavra_pipeline.assets.tables import ROW_COUNT, executive_report_table
from cavra_pipeline.errors import checked
from cavra_pipeline.escaping import visible
from cavra_pipeline.executive.publish import report_announcement, scheduled_run_id
from cavra_pipeline.executive.render import page_context, report_markdown, write_report
from cavra_pipeline.executive.report import DEFAULT_WINDOW_DAYS, executive_reports, require_window
from cavra_pipeline.jobs import DASHBOARD_GROUP, WHAT_IF, asset_key
from cavra_pipeline.lanes import LANES
from cavra_pipeline.recoveries.history import DEFAULT_SLO_MINUTES, RecoveryParameters
from cavra_pipeline.reports.store import evaluated_at
from cavra_pipeline.resources import Home
from cavra_pipeline.retention.horizon import answerable_days
from cavra_pipeline.retry.first_delivery import first_delivery
from cavra_pipeline.retry.sender import open_sender
from cavra_pipeline.schedules import latest_tick
from cavra_pipeline.settings import Settings

#: The tables and reports that the report reads.
_READ: Final = (
    # Escalation plans and recovery playbooks have no table of their own among the assets.
    "evidence",
    "quarantine",
    "deliveries",
    "acknowledgements",
    "executions",
    "recoveries",
    *(f"{lane}_retry_health" for lane in LANES),
)


class ExecutiveReportConfig(dg.Config):
    """What a preview is judged by; with another value than the default nothing is sent."""

    slo_minutes: int = Field(DEFAULT_SLO_MINUTES, description="How long a recovery may be open, 1..525600.")
    window_days: int = Field(DEFAULT_WINDOW_DAYS, description="UTC days of history, 1..366.")


def build_executive_asset(partitions: dg.PartitionsDefinition[str], settings: Settings) -> dg.AssetsDefinition:
    """Returns the executive recovery report."""
    key = asset_key(settings, "executive_recovery_report")

    @dg.asset(
        key=key,
        group_name=DASHBOARD_GROUP,
        description="What happened, which recoveries are open, what to do: for executives, one page a day.",
        deps=[asset_key(settings, name) for name in _READ],
        partitions_def=partitions,
        owners=owners_of(settings, DASHBOARD_GROUP),
        kinds=PAGE_KINDS,
        metadata={**executive_report_table(), **console(settings, "executive")},
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=WAREHOUSE_POOL,
        freshness_policy=DAILY,
        config_schema=checked_config(ExecutiveReportConfig, _check_config, of="executive_recovery_report"),
        check_specs=[own_check(key)],
    )
    def executive_report_asset(context: dg.AssetExecutionContext, home: Home) -> dg.MaterializeResult:  # type: ignore[type-arg]  # read at run time
        now, config = _now(), ExecutiveReportConfig(**values_of(context))
        days = days_of(context)
        with transient_retried(), home.warehouse.reading() as session:
            # Pages of days of which the evidence has been pruned stay as they are.
            moment_of = {day: evaluated_at(day, now) for day in days}
            days = answerable_days(session, moment_of, looks_back=timedelta(days=config.window_days))
            reports = executive_reports(
                session,
                instants=[moment_of[day] for day in days],
                now=now,
                slo_minutes=config.slo_minutes,
                window_days=config.window_days,
                providers=home.settings.escalation_connectors,
            )
        folder, is_preview = _folder(home.settings, config)
        shown = {}
        for day, report in zip(days, reports, strict=True):
            context_of_page = page_context(home.settings, moment_of[day])
            paths = write_report(folder, report, context_of_page)
            shown[day] = {
                ROW_COUNT: 1,
                "headline": visible(report["headline"]),
                "report": dg.MetadataValue.md(report_markdown(report, context_of_page)),
                "page": dg.MetadataValue.path(str(paths["html"])),
                "executive_report_id": report["executive_report_id"],
                "alert_level": report["alert_level"],
                **{name: int(report[name]) for name in _NUMBERS},
                **({WHAT_IF: True} if is_preview else report_page(home.settings, "executive", report["as_of"])),
            }
        show_days(context, context.asset_key, shown)
        if days[-1] == now.date() and not is_preview:
            _publish(context, home.settings, reports[-1], now)
        return dg.MaterializeResult(
            check_results=[own_result(is_preview, {"folder": dg.MetadataValue.path(str(folder))})]
        )

    return executive_report_asset


def _folder(settings: Settings, config: ExecutiveReportConfig) -> tuple[Path, bool]:
    """The folder of the report, and whether it is a preview: one of its own, as the day's report stays as it is."""
    is_preview = (config.slo_minutes, config.window_days) != (DEFAULT_SLO_MINUTES, DEFAULT_WINDOW_DAYS)
    reports_folder = settings.home / "reports"
    preview = reports_folder / "what-if" / f"slo-{config.slo_minutes}-window-{config.window_days}"
    return (preview if is_preview else reports_folder), is_preview


def _check_config(values: Mapping[str, Any]) -> None:
    checked(RecoveryParameters, {"slo_minutes": values.get("slo_minutes")})
    require_window(values.get("window_days", DEFAULT_WINDOW_DAYS))


_NUMBERS = (
    "escalation_count",
    "open_recovery_count",
    "slo_breached_count",
    "slo_at_risk_count",
    "failed_execution_count",
)


def _publish(context: dg.AssetExecutionContext, settings: Settings, report: dict[str, Any], now: datetime) -> None:
    """Sends today's report if its scheduled instant has come; the host's environment says through what."""
    scheduled_at = latest_tick("morning_report", settings, now=now)
    if scheduled_at.date() != now.date():
        context.log.info("not sent: the schedule sends none yet today")
        return
    announcement = report_announcement(report, run_id=scheduled_run_id(scheduled_at), made_at=now)
    with first_delivery(
        settings,
        open_sender(settings, clock=_now),
        announcement,
        providers=settings.report_connectors,
        is_live=announcement.lane.name in settings.live_lanes,
        clock=_now,
        run_id=uuid.uuid4().hex,
    ) as sent:
        outcomes = [f"{outcome['provider']}: {outcome['grade']}" for outcome in sent["outcomes"]]
        context.log.info(
            "%s, %s", "dry run" if sent["dry_run"] else "live", visible(", ".join(outcomes) or "nothing sent")
        )


def _now() -> datetime:
    return datetime.now(UTC)
