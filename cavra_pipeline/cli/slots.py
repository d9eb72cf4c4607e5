"""The command `scheduled-runs`: the ledger of scheduled runs as a picture, a table or one JSON document."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, Final

import click

from cavra_pipeline.cli import columns, tables
from cavra_pipeline.cli.command import Named, answers, command
from cavra_pipeline.cli.common import answer, clock, daemon_of, home, instant_option, reading_state
from cavra_pipeline.cli.when import read_end, read_start
from cavra_pipeline.desired_state import SCHEDULE_NAMES
from cavra_pipeline.documents import instant, parse_as_of, shifted
from cavra_pipeline.errors import UnknownName, UsageError, use_one_of
from cavra_pipeline.lanes import lanes_of
from cavra_pipeline.slots.ledger import recorded_since, slots_between
from cavra_pipeline.slots.picture import legend, picture, slots_document
from cavra_pipeline.slots.verdicts import VerdictKind
from cavra_pipeline.terminal import Styled, Terminal, shown

_DEFAULT_DAYS: Final = 7
_STYLES: Final = {"missed": "bold red", "late": "yellow", "early": "yellow", "unknown": "cyan"}


@command(
    "scheduled-runs",
    "cavra-pipeline scheduled-runs",
    "cavra-pipeline scheduled-runs --schedule recovery_retry_worker --from 2d --json",
)
@click.option(
    "--schedule",
    type=Named(str, SCHEDULE_NAMES),
    metavar="NAME",
    help=f"One of {', '.join(SCHEDULE_NAMES)}; all if not given.",
)
@instant_option("--from first", "Where the range begins; 7 days back if not given.", read_start)
@instant_option("--to last", "Where the range ends, inclusive; now if not given.", read_end)
@answers
def scheduled_runs(schedule: str | None, first: datetime | None, last: datetime | None) -> None:
    """List scheduled runs: on time, late, missed, next due."""
    # With Dagster, which no other command of this module needs.
    from cavra_pipeline.schedules import next_ticks

    if schedule is not None and schedule not in SCHEDULE_NAMES:
        raise UnknownName("there is no such schedule", where="schedule", remedy=use_one_of(schedule, SCHEDULE_NAMES))
    until = last or clock()
    first_at = first or shifted(until, -timedelta(days=_DEFAULT_DAYS))
    after = shifted(first_at, -timedelta(microseconds=1))
    if after >= until:
        raise UsageError("the range is empty", where="--from", remedy="Give an instant before --to")
    with reading_state() as c:
        rows = slots_between(c, after=after, until=until, schedule=schedule)
        document = slots_document(
            rows,
            first_at,
            until,
            recorded_since=recorded_since(c, schedule),
            schedules=[row for row in next_ticks(home(), now=clock()) if schedule in (None, row["schedule"])],
        )
    answer(document, lambda console, _: _show(console, rows, document), "slots", columns.SLOTS)


def _show(console: Terminal, rows: list[dict[str, Any]], document: dict[str, Any]) -> None:
    is_running = tables.is_daemon_on(daemon_of(home(), clock()))
    _show_runs(console, rows, document, is_running=is_running)
    since = document["recorded_since"]
    if rows and since and parse_as_of(since) > parse_as_of(document["from"]):
        moment = f"{tables.short_time(since)} UTC"
        console.print(f"Recorded since {moment}; nothing is known of scheduled runs before.", style="dim")
    due = [
        (
            row["schedule"],
            row["cron"],
            tables.short_time(row["next_due_at"]),
            ", ".join(lanes_of(row["schedule"])) or "none",
        )
        for row in document["schedules"]
    ]
    title = "Next scheduled runs" if is_running else "Next scheduled runs, once Dagster's daemon runs"
    console.table(title, ("schedule", "cron (UTC)", "due (UTC)", "lanes"), due, is_last_folded=True)
    if not rows:
        console.next("cavra-pipeline retry-health" if is_running else "cavra-pipeline dev")


def _show_runs(console: Terminal, rows: list[dict[str, Any]], document: dict[str, Any], *, is_running: bool) -> None:
    if not rows:
        how = "each is recorded once it is due" if is_running else "Dagster's daemon records them, and is not running"
        span = f"{tables.short_time(document['from'])} to {tables.short_time(document['to'])} UTC"
        console.print(f"No scheduled run from {span} is known: {how}.")
        console.print("What a worker missed by its evidence, imported months included, is in retry-health.")
        return
    runs = Counter(row["schedule"] for row in rows)
    # The mark of one run alone is no picture; the table of verdicts has that run.
    lines = picture(row for row in rows if runs[row["schedule"]] > 1)
    for schedule, days in groupby(lines, key=lambda line: line[0]):
        # A day of half-hours and its date fit into 80 columns; the name of the schedule beside them would not.
        console.print(shown(schedule, "bold"))
        for _, day, marks in days:
            console.print(f"  {day}  {marks}", soft_wrap=True)
    if lines:
        console.print(legend(marks for _, _, marks in lines), style="dim")
    counts = Counter((row["schedule"], row["verdict"], _words(row["cause"])) for row in rows)
    counted = [(name, _styled(verdict), cause, count) for (name, verdict, cause), count in sorted(counts.items())]
    console.table("Verdicts", ("schedule", "verdict", "cause", "runs"), counted)
    odd = [row for row in rows if row["verdict"] not in (VerdictKind.ON_TIME, VerdictKind.NOT_EXPECTED)]
    if odd:
        late = [
            (
                row["schedule"],
                tables.short_time(instant(row["expected_at"])),
                _styled(row["verdict"]),
                _words(row["cause"]),
                tables.short_time(instant(row["done_at"])),
                f"{row['cron']} {row['time_zone']}",
            )
            for row in sorted(odd, key=lambda row: row["expected_at"], reverse=True)
        ]
        shown_columns = ("schedule", "expected (UTC)", "verdict", "cause", "done (UTC)", "configuration then")
        console.table("Not on time, newest first", shown_columns, late, most=20)


def _styled(verdict: str) -> Styled:
    return shown(_words(verdict), _STYLES.get(verdict, ""))


def _words(name: str | None) -> str:
    return (name or "-").replace("_", " ")
