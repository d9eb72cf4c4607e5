"""The commands that look into the data: queries, tables, what the boundary held back, pseudonyms, and the export."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import Final

import click

from cavra_pipeline import frames
from cavra_pipeline.cli.command import answers, command
from cavra_pipeline.cli.common import (
    answer,
    clock,
    day_range,
    home,
    instant_option,
    range_option,
    reading,
    require_home,
)
from cavra_pipeline.cli.tables import as_facts
from cavra_pipeline.cli.when import read_start
from cavra_pipeline.documents import csv_value, with_instants
from cavra_pipeline.errors import UsageError
from cavra_pipeline.evidence.export import export_records
from cavra_pipeline.evidence.leaks import open_leak_days
from cavra_pipeline.evidence.pseudonym_key import pseudonyms_of
from cavra_pipeline.evidence.queries import list_findings, list_quarantine
from cavra_pipeline.provider_names import provider_name
from cavra_pipeline.settings import load_settings
from cavra_pipeline.terminal import Terminal, print_json_line, standard_error
from cavra_pipeline.warehouse import Session
from cavra_pipeline.warehouse.frames import as_python, in_utc
from cavra_pipeline.warehouse.questions import read_table

_STDIN: Final = "-"
_UP_TO: Final = instant_option("--as-of", "Only records up to then: 2d (ago), or 2026-11-28T08:00.")
_DIGEST_SHOWN: Final = 12


@command("pseudonym", "cavra-pipeline pseudonym ops@example.org", "cavra-pipeline pseudonym - < value.txt")
@click.argument("value")
@answers
def pseudonym(value: str) -> None:
    """Print the pseudonyms that a value has in this home.

    As identifier, as provider and as actor label, where VALUE itself may not be stored.

    With - the value is read from standard input, so that it stays out of the shell's history.
    """
    names = pseudonyms_of(home())
    text = sys.stdin.read().removesuffix("\n") if value == _STDIN else value
    document = {
        "identifier": names.of_text(text),
        "provider": names.of_text(provider_name(text)),
        "actor": names.of_actor(text),
    }
    answer(document, as_facts("Pseudonym", list(document.items())))


@command("export", "cavra-pipeline export > made-here.jsonl", "cavra-pipeline export --since 7d > last-week.jsonl")
@instant_option("--since", "Leave out older records: 2d (ago), or 2026-11-28T08:00.", read_start)
@click.option("--all", "everything", is_flag=True, help="Write all evidence, for another home; never for CAVRA.")
def export(since: datetime | None, everything: bool) -> None:
    """Write the records made here as JSON lines, for CAVRA.

    They have CAVRA's own shape and go to standard output.
    """
    if everything:
        standard_error().print(
            "warning: --all is for another home. CAVRA's records are cut here: in CAVRA they would replace whole ones.",
            style="yellow",
        )
    with reading() as session:
        for line in export_records(session, since=since, made_here=not everything):
            print_json_line(line)


@command(
    "sql",
    'cavra-pipeline sql "SELECT lane, count(*) FROM evidence GROUP BY 1"',
    "cavra-pipeline sql executions --output csv",
)
@click.argument("query", metavar="QUERY")
@_UP_TO
@answers
def sql(query: str, as_of: datetime | None) -> None:
    """Query the warehouse, read-only.

    QUERY is one SELECT statement, or the name of a table or view (docs/data-dictionary.md).
    """
    require_home(load_settings())
    with frames.warehouse_at().reading() as session:
        table = read_table(session, query, {"as_of": as_of})
    with as_python():
        rows = [with_instants(row) for row in in_utc(table).to_pylist()]

    def show(console: Terminal, _document: object) -> None:
        cells = [[csv_value(cell) if isinstance(cell, dict | list) else cell for cell in row.values()] for row in rows]
        console.rows(f"Rows: {len(rows):,}", table.column_names, cells)

    answer({"row_count": len(rows), "rows": rows}, show, "rows", table.column_names)


@command(
    "table",
    "cavra-pipeline table deliveries deliveries.parquet",
    'cavra-pipeline table "SELECT lane, count(*) FROM evidence GROUP BY 1" n.csv',
)
@click.argument("table_or_sql", metavar="TABLE")
@click.argument("path", type=click.Path(path_type=Path))
@_UP_TO
@range_option("every day")
def table_command(table_or_sql: str, path: Path, as_of: datetime | None, first: date | None, last: date | None) -> None:
    """Write a table or a query to a Parquet or CSV file.

    PATH ends in .parquet or .csv. TABLE is the name of a table or view (docs/data-dictionary.md), or one SELECT
    statement. --from and --to choose days of the landing zone. What goes back to CAVRA, or to another home, is
    written by cavra-pipeline export.
    """
    if last and not first:
        raise UsageError("a range begins with --from", where="--from", remedy="Give --from DAY too, or neither of them")
    days = day_range(first, last, clock(), is_past=False) if first else None
    require_home(load_settings())
    count = frames.write(table_or_sql, path, as_of=as_of, days=days)
    standard_error().print(f"{count:,} row{'' if count == 1 else 's'} written to {path}")


@command("quarantine", "cavra-pipeline quarantine", "cavra-pipeline quarantine --from 7d --output csv")
@range_option("the first landing day")
@answers
def quarantine(first: date | None, last: date | None) -> None:
    """List rejected lines: where they stood and why.

    Use the SHA-256 to find the line in its source.
    """
    columns = ("drop_day", "source_file", "line_number", "reason", "sha256", "field", "file_name")
    steps = ("Correct what was rejected at its source, then import it again:", "cavra-pipeline import PATH")
    _list("Quarantine", partial(list_quarantine, days=_days(first, last)), columns, steps)


@command("findings", "cavra-pipeline findings", "cavra-pipeline findings --from 7d --json")
@range_option("the first landing day")
@answers
def findings(first: date | None, last: date | None) -> None:
    """List what was not public-safe: where, and by which rule.

    Secrets come first. The value itself is never shown.
    """
    columns = ("is_secret", "drop_day", "source_file", "line_number", "rule", "path", "action", "file_name")
    days = _days(first, last)
    leaks = [day for day in open_leak_days(home(), clock()) if days[0] <= day <= days[1]]
    steps = ("Rotate each leaked secret, then resolve its alert:", "cavra-pipeline alerts") if leaks else ()

    def shown(column: str, row: Mapping[str, object]) -> object:
        if column != "is_secret":
            return row[column]
        return ("to rotate" if row["drop_day"] in leaks else "handled") if row["is_secret"] else "no"

    _list("Findings", partial(list_findings, days=days), columns, steps, shown)


def _days(first: date | None, last: date | None) -> tuple[date, date]:
    """The first and the last day; every day where none is named."""
    if first and last and first > last:
        raise UsageError(f"{first} is after --to {last}", where="--from", remedy="Give the earlier day first")
    return first or date.min, last or date.max


#: Headings of the tables, short so that the digest has room; CSV and JSON have the columns' own names.
_SHOWN_AS: Final = {"is_secret": "secret", "drop_day": "day", "source_file": "file", "line_number": "line"}


def _list(
    title: str,
    read: Callable[[Session], list[dict[str, object]]],
    columns: tuple[str, ...],
    steps: Sequence[str],
    cell: Callable[[str, Mapping[str, object]], object] = lambda column, row: row[column],
) -> None:
    with reading() as session:
        rows = read(session)

    def show(console: Terminal, _document: object) -> None:
        if not rows:
            console.print(f"{title}: none")
            return
        # Where the terminal is narrow, the last column goes first, and the digest is cut.
        names = sorted((name for name in columns if name != "file_name"), key=lambda name: name == "path")
        heads = [_SHOWN_AS.get(name, name) for name in names]
        shown = [[cell(name, row) for name in names] for row in rows]
        if "sha256" in names and not console.has_room(heads, shown):
            place = names.index("sha256")
            heads[place] = f"sha256 (first {_DIGEST_SHOWN})"
            shown = [[*row[:place], str(row[place])[:_DIGEST_SHOWN], *row[place + 1 :]] for row in shown]
        console.table(f"{title}: {len(rows)}", heads, shown)
        if steps:
            console.next(*steps)

    answer({"count": len(rows), title.lower(): rows}, show, title.lower(), columns)
