"""The commands on causes: which provider is broken, what will be exhausted when, and why a delivery waits."""

from __future__ import annotations

from datetime import datetime

import click

from cavra_pipeline.cli import cause_tables
from cavra_pipeline.cli.common import AS_JSON, AS_OF, answer, clock, reading
from cavra_pipeline.reports.incidents import incident_reports


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
