"""The commands on causes: which provider is broken, what will be exhausted when, and why a delivery waits."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

from cavra_pipeline.causes.explain import explain
from cavra_pipeline.causes.forecast import ForecastParameters, forecast, forecast_parameters
from cavra_pipeline.cli import cause_tables
from cavra_pipeline.cli.common import AS_JSON, AS_OF, LANE, answer, clock, home, lane_option, reading
from cavra_pipeline.declared import options_of
from cavra_pipeline.lanes import LANES, Lane
from cavra_pipeline.reports.incidents import incident_reports
from cavra_pipeline.reports.policy import RetryPolicy, retry_policy
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


@click.command("forecast")
@LANE
@options_of(ForecastParameters)
@AS_OF
@options_of(RetryPolicy)
@AS_JSON
def forecast_command(
    lane: Lane,
    hours: int | None,
    max_retry_deliveries: int | None,
    as_of: datetime | None,
    as_json: bool,
    **fields: Any,
) -> None:
    """What happens if nothing changes: what is tried when, exhausted when, and what is never tried?"""
    now, policy = clock(), retry_policy(lane, fields)
    parameters = forecast_parameters(hours=hours, max_retry_deliveries=max_retry_deliveries)
    has_connector = connector_check(home())
    with reading() as session:
        document = forecast(session, lane, policy, parameters, as_of=as_of or now, now=now, has_connector=has_connector)
    answer(document, as_json, cause_tables.show_forecast)
