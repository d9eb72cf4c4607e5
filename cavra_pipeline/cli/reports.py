"""The commands that evaluate evidence: health, retry plans, dashboard, escalation and the executive report."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import click

from cavra_pipeline.cli import tables
from cavra_pipeline.cli.common import (
    AS_JSON,
    AS_OF,
    EXIT_FAILED,
    EXIT_UNHEALTHY,
    GENERATED_BY,
    LANE,
    LIVE,
    answer,
    clock,
    home,
    options,
    reading,
    reading_state,
)
from cavra_pipeline.declared import options_of
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.executive.escalation import escalation_plan
from cavra_pipeline.executive.publish import escalation, report_announcement, report_run_id
from cavra_pipeline.executive.render import report_html, report_json, report_markdown, write_report
from cavra_pipeline.executive.report import DEFAULT_WINDOW_DAYS, executive_reports
from cavra_pipeline.lanes import Lane
from cavra_pipeline.recoveries.history import DEFAULT_SLO_MINUTES
from cavra_pipeline.reports.dashboard import dashboards
from cavra_pipeline.reports.health import HealthParameters, health_parameters, retry_health_reports
from cavra_pipeline.reports.plan import retry_plans
from cavra_pipeline.reports.policy import RetryPolicy, retry_policy
from cavra_pipeline.reports.store import save_plan
from cavra_pipeline.retry.first_delivery import Announcement, first_delivery
from cavra_pipeline.retry.sender import open_sender
from cavra_pipeline.settings import Settings
from cavra_pipeline.slots.ledger import slots_of_reports
from cavra_pipeline.state import state_of
from cavra_pipeline.terminal import print_document, standard_error

_FAILING_LEVELS: Final = {"warning": ("warning", "critical"), "critical": ("critical",)}
_FORMS: Final = {"markdown": report_markdown, "html": report_html, "json": report_json}
_ANNOUNCED: Final = options(
    click.option(
        "--slo-minutes",
        type=int,
        default=DEFAULT_SLO_MINUTES,
        show_default=True,
        metavar="N",
        help="How long a recovery may be open.",
    ),
    click.option("--provider", "providers", multiple=True, metavar="NAME", help="Connector; repeatable."),
    LIVE,
)


@click.command("retry-health")
@LANE
@AS_OF
@GENERATED_BY
@AS_JSON
@options_of(HealthParameters)
@click.option("--fail-on", type=click.Choice(list(_FAILING_LEVELS)), help="Exit 3 at or above this alert level.")
def retry_health_command(
    lane: Lane,
    as_of: datetime | None,
    generated_by: str,
    as_json: bool,
    fail_on: str | None,
    **parameters: int | None,
) -> None:
    """Is the retry worker running, are its plans fresh, what failed, what waits for a person?"""
    now, judged_by = clock(), health_parameters(lane, **parameters)
    with reading() as session:
        (report,) = retry_health_reports(
            session, lane, judged_by, instants=[as_of or now], now=now, generated_by=generated_by
        )
    with reading_state() as c:
        (slots,) = slots_of_reports(c, [report])
    answer(report, as_json, lambda console, _: tables.show_health(console, report, slots=slots))
    sys.exit(EXIT_UNHEALTHY if fail_on and report["alert_level"] in _FAILING_LEVELS[fail_on] else 0)


@click.command("retry-plan")
@LANE
@AS_OF
@GENERATED_BY
@AS_JSON
@options_of(RetryPolicy)
@click.option("--keep", is_flag=True, help="Keep the plan, so that worker --plan can execute it.")
def retry_plan_command(
    lane: Lane,
    as_of: datetime | None,
    generated_by: str,
    as_json: bool,
    keep: bool,
    **fields: Any,
) -> None:
    """Which failed deliveries to retry, which wait, which are exhausted?"""
    now = clock()
    policy = retry_policy(lane, fields)
    with reading() as session:
        (plan,) = retry_plans(session, lane, policy, instants=[as_of or now], now=now, generated_by=generated_by)
    if keep:
        save_plan(state_of(home()), plan, now=now)
    answer(plan, as_json, tables.show_plan)


@click.command()
@AS_OF
@AS_JSON
def dashboard(as_of: datetime | None, as_json: bool) -> None:
    """Counts of everything, over all lanes and per lane."""
    now = clock()
    with reading() as session:
        (document,) = dashboards(session, instants=[as_of or now], now=now)
    answer(document, as_json, tables.show_dashboard)


@click.command()
@AS_OF
@_ANNOUNCED
@AS_JSON
def escalate(as_of: datetime | None, slo_minutes: int, providers: tuple[str, ...], live: bool, as_json: bool) -> None:
    """Which recoveries and retries wait for people, and what to do? With connectors, says what it would send.

    Without --provider, the connectors are those that CAVRA_ESCALATION_CONNECTORS names.
    """
    settings, now = home(), clock()
    providers = providers or settings.escalation_connectors
    with warehouse_of(settings).reading() as session:
        plan = escalation_plan(session, as_of=as_of or now, now=now, slo_minutes=slo_minutes, providers=providers)
    announcement = escalation(plan, requested_at=now, made_at=clock(), as_of=as_of)
    with _delivered(settings, announcement, plan["selected_providers"] if providers else (), live) as sent:
        answer({"plan": plan, "delivery": sent}, as_json, tables.show_escalation)
        sys.stdout.flush()
    _exit_for(sent)


@click.command("executive-report")
@AS_OF
@_ANNOUNCED
@click.option(
    "--window-days", type=int, default=DEFAULT_WINDOW_DAYS, show_default=True, metavar="N", help="UTC days of history."
)
@click.option(
    "--format",
    "form",
    type=click.Choice(list(_FORMS)),
    default="markdown",
    show_default=True,
    help="What is printed.",
)
@click.option("--output", type=click.Path(path_type=Path), help="Write all three forms into this folder instead.")
def executive_report_command(
    as_of: datetime | None,
    slo_minutes: int,
    window_days: int,
    form: str,
    output: Path | None,
    providers: tuple[str, ...],
    live: bool,
) -> None:
    """The recovery report for executives: what happened, what is open, what to do."""
    settings, now, err = home(), clock(), standard_error()
    with warehouse_of(settings).reading() as session:
        (report,) = executive_reports(
            session,
            instants=[as_of or now],
            now=now,
            slo_minutes=slo_minutes,
            window_days=window_days,
            providers=settings.escalation_connectors,
        )
    announcement = report_announcement(
        report, run_id=report_run_id(report), made_at=clock(), requested_at=now, as_of=as_of
    )
    with _delivered(settings, announcement, providers, live) as sent:
        if output:
            for path in write_report(output, report).values():
                err.print(f"wrote {path}")
        else:
            print_document(_FORMS[form](report))
        tables.show_delivery(err, sent)
        sys.stdout.flush()
    _exit_for(sent)


@contextmanager
def _delivered(
    settings: Settings, announcement: Announcement, providers: Sequence[str], live: bool
) -> Iterator[dict[str, Any] | None]:
    """Delivers an announcement and yields how it went; None if nobody named a provider."""
    if not providers:
        yield None
        return
    run_id = uuid.uuid4().hex
    with (
        open_sender(settings, clock=clock) as sender,
        first_delivery(
            settings, sender, announcement, providers=providers, is_live=live, clock=clock, run_id=run_id
        ) as sent,
    ):
        yield sent


def _exit_for(sent: dict[str, Any] | None) -> None:
    sys.exit(EXIT_FAILED if sent and any(not outcome["success"] for outcome in sent["outcomes"]) else 0)
