"""Commands that look after the warehouse file."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date, datetime
from pathlib import Path

import click

from cavra_pipeline.cli.command import answers, command
from cavra_pipeline.cli.common import answer, clock, home
from cavra_pipeline.evidence.keeper import rebuild, warehouse_of
from cavra_pipeline.executive.words import count
from cavra_pipeline.moving import ADDRESSES, Moved, move, settings_at
from cavra_pipeline.retention.prune import horizon_day, preview, prune
from cavra_pipeline.state import state_of
from cavra_pipeline.terminal import Terminal
from cavra_pipeline.upgrade import Upgraded, upgrade
from cavra_pipeline.warehouse.base import Compacted

_MEGABYTE = 1_000_000


@command("compact", "cavra-pipeline compact")
@answers
def compact_command() -> None:
    """Rewrite the warehouse without the space of removed rows.

    Other commands wait meanwhile. It needs room for a second file; a failure leaves the warehouse as it was.
    """
    done = warehouse_of(home()).compact()
    answer(asdict(done), lambda console, _: console.print(_sizes(done)))


def _sizes(done: Compacted) -> str:
    return f"{done.before_bytes / _MEGABYTE:.1f} MB before, {done.after_bytes / _MEGABYTE:.1f} MB now"


@command("rebuild", "cavra-pipeline rebuild")
@click.option("--without-them", is_flag=True, help="Go on without missing landing files; their evidence is lost.")
@answers
def rebuild_command(without_them: bool) -> None:
    """Rebuild the warehouse from the landing zone.

    What is not derived stays in the state database. Other commands wait meanwhile. A failure leaves the warehouse
    as it was.
    """
    count = rebuild(home(), without_missing=without_them)
    text = f"rebuilt from {count} landing files"
    answer({"landing_file_count": count}, lambda console, _: console.print(text))


@command("upgrade", "cavra-pipeline upgrade")
@click.option("--without-them", is_flag=True, help="Go on without missing landing files; their evidence is lost.")
@answers
def upgrade_command(without_them: bool) -> None:
    """Upgrade a home of an older release.

    That release stored alerts, claims and reports in the warehouse. The old file stays beside the new one. A failure
    leaves it as it was; run the command again.
    """
    done = upgrade(home(), without_missing=without_them)
    answer(asdict(done), lambda console, _: console.print(_moved(done), soft_wrap=True))


def _moved(done: Upgraded) -> str:
    if not done.old_file:
        return "nothing to upgrade: the home is of this release"
    rows = ", ".join(f"{name} {count:,}" for name, count in done.counts.items() if count) or "nothing new"
    return f"moved: {rows}; rebuilt from {done.landing_file_count} landing files; {done.old_file} is kept"


@command("move", "cavra-pipeline move --to shared.env")
@click.option(
    "--to",
    "file",
    type=click.Path(path_type=Path),
    required=True,
    help=f"File of {', '.join(ADDRESSES)} to move to, a line each; what it leaves out moves into the home.",
)
@answers
def move_command(file: Path) -> None:
    """Move landing zone, state and warehouse elsewhere, or back.

    Stop everything that uses the home first. Landing files and state are copied, the warehouse is rebuilt from them,
    and all is compared; only then the old state is closed. Dagster's own home stays where it is.
    """
    done = move(home(), settings_at(file), now=clock())
    answer(asdict(done), lambda console, _: console.print(_home_is_at(done, file), soft_wrap=True))


def _home_is_at(done: Moved, file: Path) -> str:
    return (
        f"moved: {done.row_count:,} rows of state, now in {done.state}; {done.record_count:,} records, now in "
        f"{done.warehouse}; {count(done.file_count, 'landing file')}, now in {done.landing_zone}; "
        f"{done.report_count} reports are the same there\n"
        f"Set the variables of {file} for every program, then start them"
    )


@command("prune", "cavra-pipeline prune --dry-run --before 2026-01-01")
@click.option(
    "--before",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="DAY",
    help="Evidence created before this UTC day goes, instead of what CAVRA_RETENTION_DAYS says.",
)
@click.option("--dry-run", is_flag=True, help="Say what would go and change nothing.")
@click.option("--compact", "compacts", is_flag=True, help="Free disk space at once.")
@answers
def prune_command(before: datetime | None, dry_run: bool, compacts: bool) -> None:
    """Remove evidence past its retention from the warehouse.

    Reports, counts and the digests of landing files stay, and so does what later answers are based on: they are the
    same as without pruning. The landing zone is not touched.
    """
    settings, now = home(), clock()
    day = horizon_day(settings, now=now, before=before.date() if before else None)
    warehouse = warehouse_of(settings)
    removed = preview(warehouse, day) if dry_run else prune(warehouse, state_of(settings), day, now=now)
    compacted = warehouse.compact() if compacts and not dry_run else None

    def show(console: Terminal, _document: object) -> None:
        console.print(_removed(day, asdict(removed), dry_run=dry_run), soft_wrap=True)
        if compacted:
            console.print(_sizes(compacted))
        elif not dry_run and any(asdict(removed).values()):
            console.next("cavra-pipeline compact")

    sizes = asdict(compacted) if compacted else {}
    answer({"before": day.isoformat(), "dry_run": dry_run, **asdict(removed), **sizes}, show)


def _removed(day: date, removed: dict[str, int], *, dry_run: bool) -> str:
    if not any(removed.values()):
        return f"nothing to remove: no evidence here was created before {day}"
    would = "would be removed" if dry_run else "removed"
    return (
        f"created before {day}, {would}: {count(removed['record_count'], 'record')}, "
        f"{count(removed['quarantined_count'], 'quarantined line')}, {count(removed['finding_count'], 'finding')}; "
        f"{count(removed['closed_drop_count'], 'landing file')} {'would' if dry_run else 'will'} not be read again"
    )
