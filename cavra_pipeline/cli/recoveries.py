"""The commands on recoveries: which are open, opening and closing one, what keeps the loop from being closed."""

from __future__ import annotations

from datetime import datetime

import click

from cavra_pipeline.boundary.fields import CLOSURE_STATES
from cavra_pipeline.cli import tables
from cavra_pipeline.cli.common import AS_JSON, AS_OF, BY, GENERATED_BY, answer, clock, home, reading
from cavra_pipeline.declared import options_of
from cavra_pipeline.recoveries.history import RecoveryParameters, recovery_parameters
from cavra_pipeline.recoveries.report import recovery_reports
from cavra_pipeline.recoveries.write import PlaybookParameters, build_playbook, close_recovery, playbook_parameters
from cavra_pipeline.reports.closure import closure_reports
from cavra_pipeline.terminal import EscapingGroup


@click.command()
@AS_OF
@options_of(RecoveryParameters)
@GENERATED_BY
@AS_JSON
def recoveries(as_of: datetime | None, slo_minutes: int | None, generated_by: str, as_json: bool) -> None:
    """Which recoveries are open, which are past their limit, which were closed?"""
    now, parameters = clock(), recovery_parameters(slo_minutes=slo_minutes)
    with reading() as session:
        (report,) = recovery_reports(session, parameters, instants=[as_of or now], now=now, generated_by=generated_by)
    answer(report, as_json, tables.show_recoveries)


@click.command()
@AS_OF
@GENERATED_BY
@AS_JSON
def closure(as_of: datetime | None, generated_by: str, as_json: bool) -> None:
    """Can the loop be closed, and what keeps it open?"""
    now = clock()
    with reading() as session:
        (report,) = closure_reports(session, instants=[as_of or now], now=now, generated_by=generated_by)
    answer(report, as_json, tables.show_closure)


@click.command()
@options_of(PlaybookParameters)
@GENERATED_BY
@AS_JSON
def playbook(generated_by: str, as_json: bool, **parameters: int | None) -> None:
    """Open a recovery for each connector that fails often and has none open: a recovery playbook, as evidence."""
    written = build_playbook(home(), playbook_parameters(**parameters), by=generated_by, now=clock())
    answer({"playbook": written}, as_json, tables.show_playbook)


@click.group(cls=EscapingGroup)
def recovery() -> None:
    """Say what became of a recovery."""


@recovery.command()
@click.option("--playbook", "playbook_id", required=True, metavar="ID", help="The recovery's playbook.")
@click.option("--provider", required=True, metavar="NAME", help="The recovery's connector.")
@click.option("--state", required=True, metavar="STATE", help=f"One of {', '.join(CLOSURE_STATES)}.")
@BY
@click.option("--ref", "external_ref", metavar="TICKET", help="A ticket about it.")
@AS_JSON
def close(playbook_id: str, provider: str, state: str, by: str, external_ref: str | None, as_json: bool) -> None:
    """Record a closure: resolved and mitigated close the recovery, any other state leaves it open or opens it again."""
    written = close_recovery(
        home(), playbook_id=playbook_id, provider=provider, state=state, by=by, now=clock(), external_ref=external_ref
    )
    answer({"closure": written}, as_json, tables.show_recovery_closure)
