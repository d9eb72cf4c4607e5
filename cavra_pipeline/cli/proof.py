"""Commands that prove what a home holds."""

from __future__ import annotations

import sys

import click

from cavra_pipeline.cli.common import AS_JSON, EXIT_UNHEALTHY, answer, clock, home
from cavra_pipeline.terminal import Terminal
from cavra_pipeline.verify.differences import Verified
from cavra_pipeline.verify.home import verify_home


@click.command("verify")
@click.option("--home", is_flag=True, required=True, expose_value=False, help="Verify what CAVRA_HOME holds.")
@AS_JSON
def verify_command(as_json: bool) -> None:
    """Verify landing files, evidence, the commit log and saved reports; exit 3 if anything differs.

    The warehouse is derived once more beside the one there is and compared row by row, so it takes about as long as
    ingesting everything.
    """
    found = verify_home(home(), now=clock())
    answer(found.document(), as_json, lambda console, _: _show(console, found))
    if not found.is_intact:
        sys.exit(EXIT_UNHEALTHY)


def _show(console: Terminal, found: Verified) -> None:
    console.print(
        f"verified: {found.landing_file_count:,} landing files, {found.record_count:,} records in "
        f"{found.segment_count:,} segments, {found.entry_count:,} entries of the commit log, "
        f"{found.report_count:,} saved reports ({found.remade_report_count:,} made again)",
        soft_wrap=True,
    )
    for one in found.differences:
        console.print(f"{one.part}: {one.where}: {one.what}", soft_wrap=True)
    console.print("intact" if found.is_intact else f"{len(found.differences):,} differences")
