"""Commands that look after the warehouse file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import date, datetime

import click

from cavra_pipeline.evidence.ingest import warehouse_of
from cavra_pipeline.evidence.pseudonym_key import open_home
from cavra_pipeline.retention.prune import horizon_day, preview, prune
from cavra_pipeline.settings import Settings, load_settings
from cavra_pipeline.terminal import print_json, standard_output
from cavra_pipeline.warehouse.compact import Compacted, compact

_MEGABYTE = 1_000_000


@click.command("compact")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")
def compact_command(as_json: bool) -> None:
    """Write the warehouse anew without the holes that replaced rows leave.

    Everybody else waits meanwhile. It needs room for a second file; a failure leaves the warehouse as it was.
    """
    done = compact(warehouse_of(open_home(load_settings())))
    if as_json:
        print_json(asdict(done))
    else:
        standard_output().print(_sizes(done))


def _sizes(done: Compacted) -> str:
    return f"{done.before_bytes / _MEGABYTE:.1f} MB before, {done.after_bytes / _MEGABYTE:.1f} MB now"


def build_prune_command(clock: Callable[[], datetime], home: Callable[[], Settings]) -> click.Command:
    """Returns the command that removes evidence past its retention."""

    @click.command("prune")
    @click.option(
        "--before",
        type=click.DateTime(["%Y-%m-%d"]),
        metavar="DAY",
        help="Evidence created before this UTC day goes, instead of what CAVRA_RETENTION_DAYS says.",
    )
    @click.option("--dry-run", is_flag=True, help="Say what would go and change nothing.")
    @click.option("--compact", "compacts", is_flag=True, help="Give the room back to the disk at once.")
    @click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")
    def prune_command(before: datetime | None, dry_run: bool, compacts: bool, as_json: bool) -> None:
        """Remove evidence past its retention from the warehouse.

        Reports, counts and the digests of drops stay, and so does what later answers rest on: they are the same as
        without pruning. The landing zone is not touched.
        """
        settings, now = home(), clock()
        day = horizon_day(settings, now=now, before=before.date() if before else None)
        warehouse = warehouse_of(settings)
        removed = preview(warehouse, day) if dry_run else prune(warehouse, day, now=now)
        compacted = compact(warehouse) if compacts and not dry_run else None
        if as_json:
            sizes = asdict(compacted) if compacted else {}
            print_json({"before": day.isoformat(), "dry_run": dry_run, **asdict(removed), **sizes})
        else:
            out = standard_output()
            out.print(_said(day, asdict(removed), dry_run=dry_run), soft_wrap=True)
            out.print(_sizes(compacted) if compacted else "cavra-pipeline compact gives the room back to the disk")

    return prune_command


def _said(day: date, removed: dict[str, int], *, dry_run: bool) -> str:
    would = "would be removed" if dry_run else "removed"
    return (
        f"created before {day}, {would}: {removed['record_count']} records, "
        f"{removed['quarantined_count']} quarantined lines, {removed['finding_count']} findings; "
        f"{removed['closed_drop_count']} drops {'would be' if dry_run else 'are'} closed"
    )
