"""The command line (contract section 10): a module for each group of commands; `common` holds what they share.

It reads the clock and the environment and calls the domain; no rule is here. Answers go to standard output: tables for
a person, exactly one JSON document with ``--json``, or CSV. Everything else goes to standard error.
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import version
from typing import Any, Final

import click

from cavra_pipeline.cli import (
    alerts,
    bundles,
    causes,
    data,
    delivery,
    doctor,
    evidence,
    executive,
    proof,
    recoveries,
    reports,
    serve,
    slots,
    status,
    upkeep,
)
from cavra_pipeline.cli.command import HelpGroup, asks_for_json, missing_words, name_of
from cavra_pipeline.cli.common import EXIT_FAILED
from cavra_pipeline.errors import OutOfMemory, PipelineError, UsageError
from cavra_pipeline.terminal import print_problem, standard_error

_NAME: Final = "cavra-pipeline"
#: What click, and `OneOf`, write behind a name that they don't know.
_MEANT: Final = "Did you mean"
_COMMANDS: Final = {
    "Start here": (serve.demo, serve.dev, serve.open_command, status.status, doctor.doctor),
    "Bring evidence in": (evidence.import_command, evidence.ingest, evidence.backfill, evidence.refresh),
    "Ask what is wrong": (
        *(reports.dashboard, reports.retry_health_command, reports.retry_plan_command),
        *(causes.incidents, causes.explain_command, causes.forecast_command, recoveries.recoveries),
        *(recoveries.closure, slots.scheduled_runs, alerts.alerts, executive.executive_report_command),
    ),
    "Act on it": (delivery.worker, delivery.ack, executive.escalate, recoveries.playbook, recoveries.recovery),
    "Look into the data": (
        *(data.sql, data.table_command, data.export),
        *(data.quarantine, data.findings, data.pseudonym),
    ),
    "Prove and verify": (bundles.prove_command, bundles.verify_command, proof.checkpoint_command, proof.key),
    "Run and maintain": (
        *(delivery.connectors, serve.api, serve.api_token),
        *(upkeep.compact_command, upkeep.prune_command, upkeep.rebuild_command, upkeep.upgrade_command),
        upkeep.move_command,
    ),
}


@click.group(
    cls=HelpGroup,
    aliases={"slots": "scheduled-runs"},
    headings={heading: [str(subcommand.name) for subcommand in commands] for heading, commands in _COMMANDS.items()},
    examples=[
        "cavra-pipeline demo",
        "cavra-pipeline import evidence.db && cavra-pipeline ingest",
        "cavra-pipeline status",
    ],
)
@click.version_option(version(_NAME), prog_name=_NAME)
def cli() -> None:
    """Show which rollback-drill notifications are stuck, why, and what to do.

    Reads redacted CAVRA evidence into a DuckDB warehouse and answers with health reports and retry plans. Everything
    lives under CAVRA_HOME (default: .cavra in the current folder). Each command explains itself: COMMAND -h
    """


for _commands in _COMMANDS.values():
    for _command in _commands:
        cli.add_command(_command)


def main() -> None:
    """Runs the command line and turns errors into a message, or one JSON document, and an exit code."""
    try:
        code = cli.main(prog_name=_NAME, standalone_mode=False)
    except PipelineError as error:
        code = _say(error)
    except MemoryError:
        code = _say(OutOfMemory("this command"))
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        code = error.exit_code
    except click.ClickException as error:
        code = _say_wrong_usage(error)
    except click.Abort:
        code = EXIT_FAILED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = EXIT_FAILED
    sys.exit(code if isinstance(code, int) else 0)


def _say(error: PipelineError) -> int:
    if asks_for_json(sys.argv[1:]):
        print_problem(_problem(error.what, error.where, error.remedy, error.exit_code))
    else:
        standard_error().failure("error:", error)
    return error.exit_code


def _say_wrong_usage(error: click.ClickException) -> int:
    context = getattr(error, "ctx", None)
    path = context.command_path if context else _NAME
    what, _, meant = error.format_message().removesuffix(".").partition(_MEANT)
    where, remedy = path, f"See {path} --help"
    if near := getattr(error, "possibilities", None):
        remedy = f"{_MEANT} {near[0]}? {remedy}"
    elif isinstance(error, click.MissingParameter) and context and error.param:
        what, remedy = missing_words(context, error.param)
    elif isinstance(error, click.BadParameter) and error.param:
        where, what = f"{path} {name_of(error.param)}", error.message.partition(_MEANT)[0]
        remedy = f"{_MEANT}{meant} {remedy}" if meant else remedy
    kind = UsageError if error.exit_code == UsageError.exit_code else PipelineError
    return _say(kind(what.rstrip(" (.").replace("\n", " "), where=where, remedy=remedy))


def _problem(what: str, where: str, remedy: str, exit_code: int) -> dict[str, Any]:
    return {"error": {"what": what, "where": where, "remedy": remedy, "exit_code": exit_code}}
