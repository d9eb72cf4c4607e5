"""The commands that write to people: the escalation plan and the executive report, and their delivery."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import click

from cavra_pipeline.cli import columns
from cavra_pipeline.cli.command import JSON, answers, answers_as, command, form_of_answer
from cavra_pipeline.cli.common import AS_OF, EXIT_FAILED, LIVE, answer, clock, home, options
from cavra_pipeline.cli.executive_text import show_report
from cavra_pipeline.cli.tables import level, said, short_time
from cavra_pipeline.durations import short_duration
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.executive.escalation import escalation_plan
from cavra_pipeline.executive.publish import escalation, report_announcement, report_run_id
from cavra_pipeline.executive.render import (
    page_context,
    report_html,
    report_markdown,
    write_report,
)
from cavra_pipeline.executive.report import DEFAULT_WINDOW_DAYS, executive_reports
from cavra_pipeline.executive.words import listed
from cavra_pipeline.recoveries.history import DEFAULT_SLO_MINUTES
from cavra_pipeline.retry.first_delivery import Announcement, first_delivery
from cavra_pipeline.retry.sender import open_sender
from cavra_pipeline.settings import Settings
from cavra_pipeline.terminal import (
    Terminal,
    lines,
    print_document,
    print_json,
    shown,
    standard_error,
    standard_output,
)

_TEXT, _MARKDOWN = "text", "markdown"
_PAGES: Final = {_MARKDOWN: report_markdown, "html": report_html}

_ANNOUNCED: Final = options(
    click.option(
        "--slo-minutes",
        type=int,
        default=DEFAULT_SLO_MINUTES,
        show_default=True,
        metavar="N",
        help="How long a recovery may be open, in minutes.",
    ),
    click.option("--provider", "providers", multiple=True, metavar="NAME", help="Provider to notify; repeatable."),
    LIVE,
)


@command("escalate", "cavra-pipeline escalate", "cavra-pipeline escalate --slo-minutes 120 --json")
@AS_OF
@_ANNOUNCED
@answers
def escalate(as_of: datetime | None, slo_minutes: int, providers: tuple[str, ...], live: bool) -> None:
    """Notify people of the recoveries and retries that wait.

    Lists what to do about each. With connectors it shows what would be sent, and sends it if --live is given.

    Without --provider, the connectors are those that CAVRA_ESCALATION_CONNECTORS names.
    """
    settings, now = home(), clock()
    providers = providers or settings.escalation_connectors
    with warehouse_of(settings).reading() as session:
        plan = escalation_plan(session, as_of=as_of or now, now=now, slo_minutes=slo_minutes, providers=providers)
    announcement = escalation(plan, requested_at=now, made_at=clock(), as_of=as_of)
    with _delivered(settings, announcement, plan["selected_providers"] if providers else (), live) as sent:
        answer(
            {"plan": plan, "delivery": sent},
            _show_escalation,
            lambda document: document["plan"]["escalation_routes"],
            columns.ROUTES,
        )
        sys.stdout.flush()
    _exit_for(sent)


@command(
    "executive-report", "cavra-pipeline executive-report", "cavra-pipeline executive-report --output html > report.html"
)
@AS_OF
@_ANNOUNCED
@click.option(
    "--window-days", type=int, default=DEFAULT_WINDOW_DAYS, show_default=True, metavar="N", help="UTC days of history."
)
@answers_as(_TEXT, *_PAGES, JSON, default=f"{_TEXT} on a terminal, else {_MARKDOWN}")
@click.option(
    "--output-dir",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Write markdown, html and json files into this folder instead.",
)
def executive_report_command(
    as_of: datetime | None,
    slo_minutes: int,
    window_days: int,
    output_dir: Path | None,
    providers: tuple[str, ...],
    live: bool,
) -> None:
    """Write the page for executives: what happened, what to do.

    With --provider it is announced through these connectors: a dry run unless --live is given.
    """
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
        context = page_context(settings, as_of or now)
        form = form_of_answer(_TEXT if sys.stdout.isatty() else _MARKDOWN)
        if output_dir:
            for path in write_report(output_dir, report, context).values():
                err.print(f"wrote {path}")
        elif form == JSON:
            print_json(report)
        elif form == _TEXT:
            show_report(standard_output(), report, context)
        else:
            print_document(_PAGES[form](report, context))
        _show_delivery(err, sent)
        sys.stdout.flush()
    _exit_for(sent)


@contextmanager
def _delivered(
    settings: Settings, announcement: Announcement, providers: Sequence[str], live: bool
) -> Iterator[dict[str, Any] | None]:
    """Delivers an announcement and yields how it went; None if no one named a provider."""
    if not providers:
        yield None
        return
    sender, run_id = open_sender(settings, clock=clock), uuid.uuid4().hex
    with first_delivery(
        settings, sender, announcement, providers=providers, is_live=live, clock=clock, run_id=run_id
    ) as sent:
        yield sent


def _exit_for(sent: dict[str, Any] | None) -> None:
    sys.exit(EXIT_FAILED if sent and any(not outcome["success"] for outcome in sent["outcomes"]) else 0)


def _show_escalation(console: Terminal, document: Mapping[str, Any]) -> None:
    """Shows an escalation plan and its delivery."""
    plan = document["plan"]
    limit = short_duration(plan["recovery_slo_minutes"])
    counts = f"{plan['open_recovery_count']:,} open, {plan['slo_breached_count']:,} of them past the limit of {limit}"
    is_known = plan["state"] != "no_playbook"
    console.facts(
        "Escalation plan",
        [
            ("state", level(plan["alert_level"])),
            ("as of", f"{short_time(plan['as_of'])} UTC"),
            ("recoveries", counts if is_known else "none is known: no recovery playbook has arrived"),
            ("audit retries", f"{plan['failed_execution_count']:,} unresolved after a failure or a skip"),
            ("notify via", ", ".join(plan["selected_providers"]) or "no one: name providers with --provider"),
            ("plan", plan["plan_id"]),
        ],
    )
    if plan["escalation_routes"]:
        rows = [
            (
                level(route["severity"]),
                route["provider"],
                lines(route["recommended_action"], shown(_since(route), "dim")),
            )
            for route in plan["escalation_routes"]
        ]
        console.facts("What waits for people, the most urgent first", rows)
    _show_delivery(console, document["delivery"])
    if plan["escalation_routes"] and not document["delivery"]:
        console.next("cavra-pipeline recoveries")


def _since(route: Mapping[str, Any]) -> str:
    return f"open since {short_time(route['opened_at'])} UTC" if route["opened_at"] else ""


def _show_delivery(console: Terminal, sent: Mapping[str, Any] | None) -> None:
    """Shows what was, or would be, sent."""
    if sent is None:
        return
    if sent["dry_run"]:
        console.part()
        console.print(f"Dry run: would notify {', '.join(sent['providers']) or 'no one'}: {sent['title']}")
        if missing := sent["without_connector"]:
            are_not = "is not" if len(missing) == 1 else "are not"
            console.print(f"{listed(missing)} {are_not} set up on this host: a live run would be refused")
            console.next("cavra-pipeline connectors")
    for outcome in sent["outcomes"]:
        console.print(f"{outcome['provider']}: {outcome['grade'] or 'not sent'} ({said(outcome['reason'])})")
