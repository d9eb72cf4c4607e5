"""The commands on causes: which provider is broken, what will be exhausted when, and why a delivery waits."""

from __future__ import annotations

from datetime import datetime

import click

from cavra_pipeline.causes.explain import explain
from cavra_pipeline.cli import cause_tables
from cavra_pipeline.cli.common import AS_JSON, AS_OF, answer, clock, home, lane_option, reading
from cavra_pipeline.lanes import LANES, Lane
from cavra_pipeline.reports.incidents import incident_reports
from cavra_pipeline.retry.sender import connector_check


@click.command()
@AS_OF
@click.option("--provider", metavar="NAME", help="Only incidents of this provider.")
@click.option("--open", "is_open", is_flag=True, help="Only incidents that are open.")
@AS_JSON
def incidents(as_of: datetime | None, provider: str | None, is_open: bool, as_json: bool) -> None:
    """Which providers were or are broken, since when, and why?"""
    now = clock()
    with reading() as session:
        (report,) = incident_reports(session, instants=[as_of or now], now=now, provider=provider, is_open=is_open)
    answer(report, as_json, cause_tables.show_incidents)


@click.command("explain")
@click.argument("subject")
@click.argument("provider")
@lane_option(help=f"One of {', '.join(LANES)}; every lane that names the subject if not given.")
@AS_OF
@AS_JSON
def explain_command(subject: str, provider: str, lane: Lane | None, as_of: datetime | None, as_json: bool) -> None:
    """Why does this delivery wait? All that concerns SUBJECT at PROVIDER, in order, and what would release it."""
    now, has_connector = clock(), connector_check(home())
    with reading() as session:
        document = explain(
            session,
            subject=subject,
            provider=provider,
            lane=lane,
            as_of=as_of or now,
            now=now,
            has_connector=has_connector,
        )
    answer(document, as_json, cause_tables.show_explanations)
