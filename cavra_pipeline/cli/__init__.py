"""The command line (contract section 10): a module for each group of commands; `common` holds what they share.

It reads the clock and the environment and calls the domain; no rule is here. Answers go to standard output: tables for
a person, or exactly one JSON document with ``--json``. Everything else goes to standard error.
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import version
from typing import Final

import click

from cavra_pipeline.cli import (
    alerts,
    bundles,
    causes,
    delivery,
    evidence,
    proof,
    recoveries,
    reports,
    serve,
    slots,
    upkeep,
)
from cavra_pipeline.cli.common import EXIT_FAILED
from cavra_pipeline.errors import OutOfMemory, PipelineError
from cavra_pipeline.terminal import EscapingGroup, standard_error

_COMMANDS: Final = (
    *(evidence.import_command, evidence.ingest, evidence.backfill, evidence.export, evidence.table_command),
    *(evidence.quarantine, evidence.findings, evidence.pseudonym),
    *(reports.retry_health_command, reports.retry_plan_command, reports.dashboard),
    *(recoveries.recoveries, recoveries.recovery, recoveries.playbook, recoveries.closure),
    *(causes.incidents, causes.forecast_command, causes.explain_command),
    *(reports.escalate, reports.executive_report_command, slots.slots),
    *(delivery.worker, delivery.ack, delivery.connectors, alerts.alerts),
    *(serve.api, serve.api_token, serve.refresh, serve.demo, serve.dev),
    *(bundles.prove_command, bundles.verify_command, proof.checkpoint_command, proof.key),
    *(upkeep.compact_command, upkeep.prune_command, upkeep.rebuild_command, upkeep.upgrade_command),
)


@click.group(cls=EscapingGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(version("cavra-pipeline"), prog_name="cavra-pipeline")
def cli() -> None:
    r"""Is rollback-drill recovery retried as it should be?

    Reads redacted CAVRA evidence into a DuckDB warehouse and answers with health reports and retry plans.
    Everything lives under CAVRA_HOME (default: .cavra in the current folder).

    \b
    A first look:        cavra-pipeline demo
    Your own evidence:   cavra-pipeline import evidence.db && cavra-pipeline ingest
    Is it healthy?       cavra-pipeline retry-health --lane recovery_escalation
    What to retry?       cavra-pipeline retry-plan --lane executive_report
    The Dagster UI:      cavra-pipeline dev
    """


for _command in _COMMANDS:
    cli.add_command(_command)


def main() -> None:
    """Runs the command line and turns our errors into a message and an exit code, without a traceback."""
    try:
        cli()
    except PipelineError as error:
        standard_error().failure("error:", error)
        sys.exit(error.exit_code)
    except MemoryError:
        standard_error().failure("error:", OutOfMemory("this command"))
        sys.exit(OutOfMemory.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_FAILED)
