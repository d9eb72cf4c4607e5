"""Commands that look after the warehouse file."""

from __future__ import annotations

import json

import click

from cavra_pipeline.evidence.ingest import warehouse_of
from cavra_pipeline.settings import load_settings
from cavra_pipeline.warehouse.compact import compact

_MEGABYTE = 1_000_000


@click.command("compact")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")
def compact_command(as_json: bool) -> None:
    """Write the warehouse anew without the holes that replaced rows leave.

    Everybody else waits meanwhile. It needs room for a second file; a failure leaves the warehouse as it was.
    """
    done = compact(warehouse_of(load_settings().prepare()))
    if as_json:
        click.echo(json.dumps({"before_bytes": done.before_bytes, "after_bytes": done.after_bytes}))
    else:
        click.echo(f"{done.before_bytes / _MEGABYTE:.1f} MB before, {done.after_bytes / _MEGABYTE:.1f} MB now")
