"""The commands around what is sent: the retry worker, acknowledgements of deliveries, and the check of connectors."""

from __future__ import annotations

import sys
import uuid
from typing import Any

import click

from cavra_pipeline.cli import tables
from cavra_pipeline.cli.common import (
    AS_JSON,
    BY,
    EXIT_FAILED,
    GENERATED_BY,
    LANE,
    LIVE,
    answer,
    clock,
    home,
    lane_option,
)
from cavra_pipeline.lanes import ACKNOWLEDGEMENT_STATES, LANES, Lane
from cavra_pipeline.reports.policy import retry_policy
from cavra_pipeline.retry.acknowledge import acknowledge, withdraw
from cavra_pipeline.retry.sender import host_connectors, host_problems, open_sender
from cavra_pipeline.retry.worker import DEFAULT_RETRY_DELIVERIES, WorkerRequest, run_worker
from cavra_pipeline.terminal import Terminal


@click.command()
@LANE
@LIVE
@click.option(
    "--max-retry-deliveries",
    type=int,
    default=DEFAULT_RETRY_DELIVERIES,
    show_default=True,
    metavar="N",
    help="Retries selected at most, 1..25.",
)
@click.option("--plan", "plan_id", metavar="ID", help="Execute only what this saved plan decided and what still holds.")
@click.option("--probe", is_flag=True, help="Of a provider that rejects credentials or is gone, select one retry only.")
@GENERATED_BY
@AS_JSON
def worker(
    lane: Lane,
    live: bool,
    max_retry_deliveries: int,
    plan_id: str | None,
    probe: bool,
    generated_by: str,
    as_json: bool,
) -> None:
    """Run the recovery retry worker once: dry unless --live is given.

    A dry run selects and sends nothing. Both kinds leave a worker-run record as evidence.
    """
    settings = home()
    request = WorkerRequest(
        lane=lane,
        policy=retry_policy(lane),
        is_live=live,
        max_retry_deliveries=max_retry_deliveries,
        retry_plan_id=plan_id,
        generated_by=generated_by,
        is_probe=probe,
    )
    with open_sender(settings, clock=clock) as sender:
        document = run_worker(settings, request, sender, clock=clock, run_id=uuid.uuid4().hex)
    answer(document, as_json, tables.show_worker_run)


@click.command()
@lane_option(default=next(iter(LANES)), show_default=True, help="A lane that takes them.")
@click.option("--plan", "subject", required=True, metavar="ID", help="The plan, or the health report of an alert lane.")
@click.option("--provider", required=True, metavar="NAME", help="The connector it is acknowledged for.")
@click.option("--state", metavar="STATE", help=f"One of {', '.join(ACKNOWLEDGEMENT_STATES)}.")
@click.option("--withdraw", "is_withdrawn", is_flag=True, help="Withdraw the acknowledgement; in place of --state.")
@click.option("--force", is_flag=True, help="Record it although no such delivery is known.")
@BY
@AS_JSON
def ack(
    lane: Lane, subject: str, provider: str, state: str | None, is_withdrawn: bool, force: bool, by: str, as_json: bool
) -> None:
    """Acknowledge a failing delivery, so that its live retry may go ahead or is known to be handled."""
    if (state is None) == (not is_withdrawn):
        raise click.UsageError("Give either --state STATE or --withdraw")
    about = {"subject": subject, "provider": provider, "by": by}
    if state is None:
        written = withdraw(home(), lane, **about, now=clock())
    else:
        written = acknowledge(home(), lane, **about, state=state, now=clock(), is_forced=force)

    def show(console: Terminal, _document: object) -> None:
        word = "withdrawn" if is_withdrawn else written["acknowledgement_state"]
        console.print(f"{word}: {subject} for {provider} ({written['acknowledgement_id']})")

    answer(written, as_json, show)


@click.command()
@AS_JSON
def connectors(as_json: bool) -> None:
    """Check the connector file and the secrets it names. Sends nothing; exit code 1 if something is to be fixed."""
    settings = home()
    checked, problems = host_connectors(settings), host_problems(settings)
    states = []
    for provider in checked.providers:
        problem = checked.problem(provider)
        states.append({"connector": provider, "state": problem.reason if problem else "ready"})
    document: dict[str, Any] = {
        "file": str(checked.path),
        "connectors": states,
        "connector_problems": [problem.document() for problem in problems],
    }

    def show(console: Terminal, _document: object) -> None:
        rows = [(one["connector"], one["state"]) for one in states]
        console.table("Connectors that are on", ("connector", "state"), rows)
        tables.show_connector_problems(console, document["connector_problems"])

    answer(document, as_json, show)
    sys.exit(EXIT_FAILED if problems else 0)
