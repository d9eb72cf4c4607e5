"""The command `cavra-pipeline slots`: the slot ledger as a picture, a table or one JSON document."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby
from typing import Any, Final

import click

from cavra_pipeline.cli import tables
from cavra_pipeline.cli.common import AS_JSON, answer, clock, reading_state
from cavra_pipeline.desired_state import SCHEDULE_NAMES
from cavra_pipeline.documents import instant, parse_as_of
from cavra_pipeline.errors import UsageError
from cavra_pipeline.slots.ledger import slots_between
from cavra_pipeline.slots.picture import legend, picture, slots_document
from cavra_pipeline.slots.verdicts import VerdictKind
from cavra_pipeline.terminal import Styled, Terminal, shown

_DEFAULT_DAYS: Final = 7
_STYLES: Final = {"missed": "bold red", "late": "yellow", "early": "yellow", "unknown": "cyan"}


@click.command("slots")
@click.option("--schedule", metavar="NAME", help=f"One of {', '.join(SCHEDULE_NAMES)}; all if not given.")
@click.option("--from", "first", metavar="WHEN", help="First UTC day, or ISO-8601 instant; 7 days back.")
@click.option("--to", "last", metavar="WHEN", help="Last UTC day, or ISO-8601 instant, inclusive; now.")
@AS_JSON
def slots(schedule: str | None, first: str | None, last: str | None, as_json: bool) -> None:
    """Which slots of the schedules were served, which were missed and why?"""
    if schedule is not None and schedule not in SCHEDULE_NAMES:
        raise UsageError(
            "there is no such schedule", where="schedule", remedy=f"Use one of {', '.join(SCHEDULE_NAMES)}"
        )
    until = _instant(last, time.max) if last else clock()
    first_at = _instant(first, time.min) if first else until - timedelta(days=_DEFAULT_DAYS)
    after = first_at - timedelta(microseconds=1)
    if after >= until:
        raise UsageError("the range is empty", where="--from", remedy="Give an instant before --to")
    with reading_state() as c:
        rows = slots_between(c, after=after, until=until, schedule=schedule)
    answer(slots_document(rows, first_at, until), as_json, lambda console, _: _show(console, rows))


def _instant(text: str, of_day: time) -> datetime:
    """Reads an instant, or a day as its first or last instant in UTC."""
    try:
        return datetime.combine(date.fromisoformat(text), of_day, UTC)
    except ValueError:
        return parse_as_of(text)


def _show(console: Terminal, rows: list[dict[str, Any]]) -> None:
    if not rows:
        console.print("No slot is judged in this range yet: the missed_worker_run_sensor keeps the ledger.")
        return
    lines = picture(rows)
    for schedule, days in groupby(lines, key=lambda line: line[0]):
        # A day of half-hours and its date fit into 80 columns; the name of the schedule beside them would not.
        console.print(shown(schedule, "bold"))
        for _, day, marks in days:
            console.print(f"  {day}  {marks}", soft_wrap=True)
    console.print(legend(marks for _, _, marks in lines))
    counts = Counter((row["schedule"], row["verdict"], row["cause"] or "-") for row in rows)
    counted = [(name, _styled(verdict), cause, count) for (name, verdict, cause), count in sorted(counts.items())]
    console.table("Verdicts", ("schedule", "verdict", "cause", "slots"), counted)
    odd = [row for row in rows if row["verdict"] not in (VerdictKind.ON_TIME, VerdictKind.NOT_EXPECTED)]
    if odd:
        late = [
            (
                row["schedule"],
                tables.short_time(instant(row["expected_at"])),
                _styled(row["verdict"]),
                row["cause"] or "-",
                tables.short_time(instant(row["done_at"])),
                f"{row['cron']} {row['time_zone']}",
            )
            for row in sorted(odd, key=lambda row: row["expected_at"], reverse=True)
        ]
        columns = ("schedule", "expected (UTC)", "verdict", "cause", "done (UTC)", "configuration then")
        console.table("Not on time, newest first", columns, late, most=20)


def _styled(verdict: str) -> Styled:
    return shown(verdict, _STYLES.get(verdict, ""))
