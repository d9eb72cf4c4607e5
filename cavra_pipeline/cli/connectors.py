"""The command that says which connectors can be used. Nothing is sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from cavra_pipeline.cli.tables import show_connector_problems, table
from cavra_pipeline.retry.sender import host_connectors, host_problems
from cavra_pipeline.settings import Settings
from cavra_pipeline.terminal import Terminal, print_json


def build_connectors_command(home: Callable[[], Settings], out: Callable[[], Terminal]) -> click.Command:
    """Returns the command that checks the connector file and the secrets it names."""

    @click.command("connectors")
    @click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")
    @click.pass_context
    def connectors(context: click.Context, as_json: bool) -> None:
        """Check the connector file and the secrets it names. Sends nothing; exit code 1 if something is to be fixed."""
        settings = home()
        checked, problems = host_connectors(settings), host_problems(settings)
        document: dict[str, Any] = {
            "file": str(checked.path),
            "connectors": [
                {"connector": provider, "state": problem.reason if problem else "ready"}
                for provider in checked.providers
                for problem in [checked.problem(provider)]
            ],
            "connector_problems": [problem.document() for problem in problems],
        }
        if as_json:
            print_json(document)
        else:
            rows = [(one["connector"], one["state"]) for one in document["connectors"]]
            out().print(table("Connectors that are on", ("connector", "state"), rows))
            show_connector_problems(out(), document["connector_problems"])
        context.exit(1 if problems else 0)

    return connectors
