"""The commands around what is sent: the retry worker, acknowledgements of deliveries, and the check of connectors."""

from __future__ import annotations

import sys
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import click

from cavra_pipeline.cli import columns
from cavra_pipeline.cli.command import HelpGroup, answers, command
from cavra_pipeline.cli.common import (
    BY,
    EXIT_FAILED,
    GENERATED_BY,
    LANE,
    LIVE,
    answer,
    clock,
    home,
    lane_option,
    reading,
)
from cavra_pipeline.cli.plan_tables import retry_warnings
from cavra_pipeline.cli.tables import said, say_if_later, short_time, show_connector_problems
from cavra_pipeline.documents import naive_utc, parse_as_of
from cavra_pipeline.errors import PipelineError, UsageError
from cavra_pipeline.lanes import ACKNOWLEDGEMENT_STATES, LANES, Gate, Lane
from cavra_pipeline.reports.cause_words import held_words
from cavra_pipeline.reports.clearance import declined_states
from cavra_pipeline.reports.incidents import incidents
from cavra_pipeline.reports.plan import decision_columns
from cavra_pipeline.reports.policy import retry_policy
from cavra_pipeline.retry.acknowledge import acknowledge, withdraw
from cavra_pipeline.retry.sender import host_connectors, host_problems, open_sender
from cavra_pipeline.retry.worker import DEFAULT_RETRY_DELIVERIES, WorkerRequest, run_worker
from cavra_pipeline.terminal import Terminal

#: The least that a connector file says.
_CONNECTORS_EXAMPLE: Final = ("For example:", "  connectors:", "    slack:", "      url_env: CAVRA_SLACK_URL")


@command(
    "worker",
    "cavra-pipeline worker --lane recovery_escalation",
    "cavra-pipeline worker --lane executive_report --probe --json",
)
@LANE
@LIVE
@click.option(
    "--max-retry-deliveries",
    type=int,
    default=DEFAULT_RETRY_DELIVERIES,
    show_default=True,
    metavar="N",
    help="Max retries selected, 1 to 25.",
)
@click.option("--plan", "plan_id", metavar="ID", help="Execute only what this saved plan decided and what still holds.")
@click.option("--probe", is_flag=True, help="Select one retry only of a provider that rejects credentials or is gone.")
@GENERATED_BY
@answers
def worker(
    lane: Lane,
    live: bool,
    max_retry_deliveries: int,
    plan_id: str | None,
    probe: bool,
    generated_by: str,
) -> None:
    """Run the retry worker once: dry unless --live is given.

    A dry run selects and sends nothing. Both kinds leave a worker-run record as evidence, so that either ends an outage
    of the lane's worker, even if its schedule is off.
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
    sender = open_sender(settings, clock=clock)
    document = run_worker(settings, request, sender, clock=clock, run_id=uuid.uuid4().hex)
    answer(document, _show_worker_run, "selected_retries", decision_columns(lane))


@command(
    "ack",
    "cavra-pipeline ack --subject gordackrecoveryesc-968ab48186da59fc --provider webhook --state acknowledged --by ops",
)
@lane_option(default=next(iter(LANES)), show_default=True, help="A lane that takes acknowledgements.")
@click.option(
    "--subject",
    "--plan",
    "subject",
    required=True,
    metavar="ID",
    help="What was notified: a plan, or the health report of a health alert.",
)
@click.option("--provider", required=True, metavar="NAME", help="The provider it is acknowledged for.")
@click.option(
    "--state", metavar="STATE", help=f"One of {', '.join(ACKNOWLEDGEMENT_STATES)}; needed unless --withdraw is given."
)
@click.option("--withdraw", "is_withdrawn", is_flag=True, help="Withdraw the acknowledgement; in place of --state.")
@click.option("--force", is_flag=True, help="Record it although no such delivery is known.")
@BY
@answers
def ack(lane: Lane, subject: str, provider: str, state: str | None, is_withdrawn: bool, force: bool, by: str) -> None:
    """Acknowledge a failing delivery, so that it may be retried.

    acknowledged, accepted and resolved release its retry, which sends it again; deferred, escalated and dismissed hold
    it. In a lane of health alerts it says that somebody handles the health alert. --withdraw takes it back.

    retry-health --lane LANE lists what is missing. What the command alerts lists is acknowledged by alerts ack.
    """
    if (state is None) == (not is_withdrawn):
        raise UsageError(
            "it takes a state or --withdraw, one of them", where="ack", remedy="Give --state STATE or --withdraw"
        )
    about = {"subject": subject, "provider": provider, "by": by}
    try:
        if state is None:
            written = withdraw(home(), lane, **about, now=clock())
        else:
            written = acknowledge(home(), lane, **about, state=state, now=clock(), is_forced=force)
    except UsageError as error:
        error.where = error.where.replace(lane.subject_field, "--subject").replace("and provider", "and --provider")
        raise

    def show(console: Terminal, _document: object) -> None:
        word = "withdrawn" if is_withdrawn else written["acknowledgement_state"]
        console.print(f"{word}: {subject} for {provider} ({written['session_id']})")
        say_if_later(console, written)
        console.next(f"cavra-pipeline explain {subject} {provider}")

    answer(written, show)


@click.group(
    "connectors",
    cls=HelpGroup,
    invoke_without_command=True,
    examples=["cavra-pipeline connectors", "cavra-pipeline connectors list"],
)
@answers
@click.pass_context
def connectors(context: click.Context) -> None:
    """Check connectors and the secrets they need.

    Without a command: test.
    """
    if context.invoked_subcommand is None:
        context.invoke(test_command)


@connectors.command("list", examples=["cavra-pipeline connectors list --output csv"])
@answers
def list_command() -> None:
    """List the connectors that are on, and their states."""
    document, _ = _connectors()
    answer(document, _show_connectors, "connectors", columns.CONNECTORS)


@connectors.command("test", examples=["cavra-pipeline connectors test"])
@answers
def test_command() -> None:
    """Check the connector file and the secrets that it names.

    Nothing is sent. Exit code 1 if something must be fixed.
    """
    document, is_right = _connectors()
    answer(document, _show_connectors, "connectors", columns.CONNECTORS)
    sys.exit(0 if is_right else EXIT_FAILED)


def _connectors() -> tuple[dict[str, Any], bool]:
    """Returns the connectors that are on with their states, and whether nothing is to be fixed."""
    settings = home()
    checked, problems = host_connectors(settings), host_problems(settings)
    provider_problems = [(provider, checked.problem(provider)) for provider in checked.providers]
    document = {
        "file": str(checked.path),
        "connectors": [
            {"connector": provider, "state": problem.reason if problem else "ready"}
            for provider, problem in provider_problems
        ],
        "connector_problems": [problem.document() for problem in problems],
    }
    return document, not problems


def _show_connectors(console: Terminal, document: Mapping[str, Any]) -> None:
    rows = [(connector["connector"], said(connector["state"])) for connector in document["connectors"]]
    if rows:
        console.table("Connectors that are on", ("connector", "state"), rows)
    else:
        console.print("No connector is on. This file switches them on (docs/connectors.md):")
        for line in (document["file"], *_CONNECTORS_EXAMPLE):
            console.print(line, soft_wrap=True)
    show_connector_problems(console, document["connector_problems"])


def _beside(run: Mapping[str, Any]) -> tuple[dict[tuple[str, str], str], list[str]]:
    """What stands beside a run where it is shown, for evidence as of the run.

    Returns:
        The pairs that it held and a person had decided against, each with the state; and which selected retries an open
        incident makes fail, but of a live run, where what became of each stands in its row. Nothing where the warehouse
        can't be read now: what the run did is shown all the same.
    """
    lane, at = LANES[run["lane"]], naive_utc(parse_as_of(run["as_of"]))
    pairs = [(d[lane.subject_field], d["provider"]) for d in run["acknowledgement_pending"]]
    selected = run["selected_retries"] if run["dry_run"] else []
    if not pairs and not selected:
        return {}, []
    try:
        with reading() as session:
            open_incidents = incidents(session, [at], is_open=True)[at] if selected else []
            return declined_states(session, lane, pairs, at), retry_warnings(open_incidents, {"selected": selected})
    except PipelineError:
        return {}, []


def _show_worker_run(console: Terminal, document: Mapping[str, Any]) -> None:
    """Shows a worker run: what was selected, what waits and why, what became of it."""
    subject = LANES[document["lane"]].subject_field
    kind = "dry run: nothing was sent" if document["dry_run"] else "live run"
    needed = "approval" if LANES[document["lane"]].gate is Gate.APPROVAL else "acknowledgement"
    declined, warnings = _beside(document)
    console.facts(
        f"Worker run of {document['lane']}",
        [
            ("kind", kind),
            ("as of", f"{short_time(document['as_of'])} UTC"),
            ("selected", f"{document['selected_retry_count']} of {document['retryable_count']} due"),
            ("held", _held_counts(document, needed, [*declined.values()])),
            ("plan", document["retry_plan_id"]),
            ("run", document["run_id"]),
            ("counts as", "the lane's last run, even if its schedule is off"),
        ],
    )
    outcomes = {(e[subject], e["provider"]): e for e in document["executions"]}
    rows: list[tuple[Any, ...]] = []
    for decision in document["selected_retries"]:
        sent = outcomes.get((decision[subject], decision["provider"]))
        state = f"{sent['execution_status']} ({said(sent['reason'])})" if sent else "selected"
        rows.append((decision[subject], decision["provider"], state))
    rows += [
        (d[subject], d["provider"], held_words(needed, declined.get((d[subject], d["provider"]))))
        for d in document["acknowledgement_pending"]
    ]
    rows += [(d[subject], d["provider"], f"held: {said(d['held_because'])}") for d in document["held_retries"]]
    if rows:
        console.table("Retries", ("subject", "provider", "state"), rows, is_last_folded=True)
        for warning in warnings:
            console.print(warning, style="yellow")
        console.next(f"cavra-pipeline explain {rows[0][0]} {rows[0][1]}")
    show_connector_problems(console, document["connector_problems"])


def _held_counts(document: Mapping[str, Any], needed: str, declined: Sequence[str]) -> str:
    """Returns how many due retries the run held, and why, in words."""
    why = {
        f"for an {needed}": document["acknowledgement_pending_count"] - len(declined),
        **Counter(declined),
        "for another reason": document["held_retry_count"],
    }
    return ", ".join(f"{number} {words}" for words, number in why.items() if number) or "none"
