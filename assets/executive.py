"""The executive recovery report as an asset: one for each day, as JSON, Markdown and one page; delivered if asked to.

Only the report of today goes out, dry unless the run says live and the host is armed for it.
"""

import uuid
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg
from pydantic import Field

from assets.days import show_days
from assets.registry import KINDS, OWNERS, WAREHOUSE_POOL
from assets.slots import DAILY
from cavra_pipeline.escaping import visible
from cavra_pipeline.executive.escalation import DEFAULT_SLO_MINUTES
from cavra_pipeline.executive.publish import publish_report
from cavra_pipeline.executive.render import report_files, write_report
from cavra_pipeline.executive.report import DEFAULT_WINDOW_DAYS, executive_reports
from cavra_pipeline.jobs import DASHBOARD_GROUP
from cavra_pipeline.lanes import LANES
from cavra_pipeline.reports.store import evaluated_at
from cavra_pipeline.resources import Home
from cavra_pipeline.retention.horizon import answerable_days
from cavra_pipeline.retry.sender import open_sender
from cavra_pipeline.settings import load_settings


class ExecutiveReportConfig(dg.Config):
    """What the report is judged by and where it goes."""

    slo_minutes: int = Field(DEFAULT_SLO_MINUTES, description="How long a recovery may be open, 1..525600.")
    window_days: int = Field(DEFAULT_WINDOW_DAYS, description="UTC days of history, 1..366.")
    providers: list[str] = Field([], description="Connectors to send today's report through.")
    live: bool = Field(False, description="Send. Also needs CAVRA_LIVE_RETRIES=armed in the host's environment.")


def build_executive_asset(partitions: dg.PartitionsDefinition[str]) -> dg.AssetsDefinition:
    """Returns the executive recovery report."""

    @dg.asset(
        name="executive_recovery_report",
        group_name=DASHBOARD_GROUP,
        description="What happened, which recoveries are open, what to do: for executives, one page a day.",
        deps=["deliveries", "acknowledgements", "executions", *(f"{lane}_retry_health" for lane in LANES)],
        partitions_def=partitions,
        owners=OWNERS,
        kinds=KINDS,
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=WAREHOUSE_POOL,
        freshness_policy=DAILY,
    )
    def executive_report_asset(
        context: dg.AssetExecutionContext, config: ExecutiveReportConfig, home: Home
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]  # read at run time
        now = _now()
        days = [date.fromisoformat(key) for key in context.partition_keys]
        with home.warehouse.reading() as session:
            # Pages of days of which the evidence has been pruned stay as they are.
            moment_of = {day: evaluated_at(day, now) for day in days}
            days = answerable_days(session, moment_of, looks_back=timedelta(days=config.window_days))
            reports = executive_reports(
                session,
                instants=[moment_of[day] for day in days],
                now=now,
                slo_minutes=config.slo_minutes,
                window_days=config.window_days,
                providers=config.providers,
            )
        folder = home.settings.home / "reports"
        shown = {}
        for day, report in zip(days, reports, strict=True):
            contents = report_files(report)
            paths = write_report(folder, report, contents)
            shown[day] = {
                "headline": visible(report["headline"]),
                "report": dg.MetadataValue.md(contents["md"]),
                "page": dg.MetadataValue.path(str(paths["html"])),
                "executive_report_id": report["executive_report_id"],
                "alert_level": report["alert_level"],
                **{name: int(report[name]) for name in _NUMBERS},
            }
        show_days(context, context.asset_key, shown)
        if days[-1] == now.date():
            _publish(context, config, reports[-1])
        return dg.MaterializeResult()

    return executive_report_asset


_NUMBERS = ("escalation_count", "slo_breached_count", "slo_at_risk_count", "failed_execution_count")


def _publish(context: dg.AssetExecutionContext, config: ExecutiveReportConfig, report: dict[str, Any]) -> None:
    """Sends today's report; connectors and arming come from the host's environment, not from the run."""
    settings = load_settings().prepare()
    with open_sender(settings, clock=_now) as sender:
        sent = publish_report(
            settings,
            report,
            sender,
            providers=config.providers,
            run_id=uuid.uuid4().hex,
            is_live=config.live,
            clock=_now,
        )
    outcomes = [f"{outcome['provider']}: {outcome['grade']}" for outcome in sent["outcomes"]]
    listed = visible(", ".join(outcomes) or "nothing sent")
    context.log.info("%s, %s", "dry run" if sent["dry_run"] else "live", listed)


def _now() -> datetime:
    return datetime.now(UTC)
