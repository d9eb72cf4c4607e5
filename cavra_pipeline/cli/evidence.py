"""The commands that import, ingest and export evidence, and list what the boundary held back."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path
from typing import IO, Any, Final

import click

from cavra_pipeline import frames
from cavra_pipeline.alerts.leaks import open_leaks
from cavra_pipeline.cli.command import TABLE, answers, command, form_of_answer
from cavra_pipeline.cli.common import (
    RANGE,
    answer,
    check_order,
    clock,
    exit_with,
    home,
    instant_option,
    reading,
    reading_state,
)
from cavra_pipeline.cli.tables import short_time
from cavra_pipeline.cli.when import read_start
from cavra_pipeline.documents import csv_value, instant, with_instants
from cavra_pipeline.errors import PipelineError, UsageError
from cavra_pipeline.evidence.export import export_records
from cavra_pipeline.evidence.importer import ImportResult, import_evidence
from cavra_pipeline.evidence.ingest import ingest as run_ingest
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.evidence.landing_zone import landing_files, stray_files
from cavra_pipeline.evidence.load import IngestResult
from cavra_pipeline.evidence.pseudonym_key import pseudonyms_of
from cavra_pipeline.evidence.queries import list_findings, list_quarantine
from cavra_pipeline.evidence.stores import source_files
from cavra_pipeline.lanes import LANES
from cavra_pipeline.provider_names import provider_name
from cavra_pipeline.reports.store import days_between, evaluated_at, save_every_report
from cavra_pipeline.settings import Settings
from cavra_pipeline.sources import pull, read_sources
from cavra_pipeline.state import state_of
from cavra_pipeline.terminal import Terminal, print_json_line, standard_error
from cavra_pipeline.warehouse.frames import as_python, in_utc
from cavra_pipeline.warehouse.questions import read_table

_STDIN: Final = "-"
_UP_TO: Final = instant_option("--as-of", "Only records up to then: 2d (ago), or 2026-11-28T08:00.")
_STRAYS_SHOWN: Final = 10
_DIGEST_SHOWN: Final = 12


@command("import", "cavra-pipeline import evidence.db", "cavra-pipeline import --sources")
@click.argument("paths", nargs=-1, metavar="[PATH...]")
@click.option("--sources", "of_sources", is_flag=True, help="Pull the sources of sources.yaml: those named, or all.")
@answers
def import_command(paths: tuple[str, ...], of_sources: bool) -> None:
    """Bring CAVRA stores or JSON lines into the landing zone.

    PATH is a CAVRA SQLite store, a CAVRA JSON store, JSON lines (.gz and .zst too), a folder of these, or - for one
    of them on standard input. Only allowlisted fields are written; importing the same thing twice changes nothing.
    A file that is none of these is one failure; the others are imported all the same. With --sources, PATH is the
    name of a source (docs/sources.md); none means all of them. Dagster pulls them on their cadence too.
    Then run cavra-pipeline ingest.
    """
    settings = home()
    if of_sources:
        _import_sources(settings, paths)
        return
    if not paths:
        raise UsageError("there is nothing to import", where="PATH", remedy="Name a file, a folder or -, or --sources")
    sources: list[tuple[str, Path | IO[bytes]]] = [
        ("standard input", sys.stdin.buffer) if path == _STDIN else (path, Path(path)) for path in paths
    ]
    with standard_error().bytes_progress("importing", _size_of([source for _, source in sources])) as tick:
        result = import_evidence(settings, sources, now=clock(), tick=tick)
    result.note_later(clock())
    # A table of nothing above the failures would say nothing.
    shown = [] if result.failures and not result.received_count else _import_facts(settings, result)
    answer(_import_document(result), _facts("Import" if shown else "", shown, *_after(result)))
    exit_with(result.failures, result.notes)


def _import_sources(settings: Settings, names: Sequence[str]) -> None:
    """Pulls sources one after another; one that can't be read does not stop the others."""
    sources = read_sources(settings.sources_file)
    sources.require()
    result, rows = ImportResult(failures=[sources.refusal] if sources.refusal else []), list[dict[str, Any]]()
    for name in dict.fromkeys(names or sources.by_name):
        row: dict[str, Any] = {"source": name}
        try:
            source_pull = pull(settings, sources.named(name), os.environ, clock=clock)
            result.add(source_pull.result)
            row |= _import_document(source_pull.result) | {"newest_record_at": source_pull.pulls.newest_record_at}
        except UsageError:
            raise
        except PipelineError as error:
            result.failures.append(error)
            row |= _import_document(ImportResult(failures=[error])) | {"newest_record_at": None}
        rows.append(row)
    result.note_later(clock())
    columns = ("source", "received_count", "imported_count", "known_count", "quarantined_count", "newest_record_at")

    def show(console: Terminal, _document: Any) -> None:
        heads = ("source", "read", "new", "known", "quarantined", "newest (UTC)")
        shown = [[*(row[name] for name in columns[:-1]), short_time(instant(row["newest_record_at"]))] for row in rows]
        console.table("Sources", heads, shown)
        _facts("Import", _import_facts(settings, result), *_after(result))(console, None)

    answer(_import_document(result) | {"sources": rows}, show, "sources")
    exit_with(result.failures, result.notes)


def _import_document(result: ImportResult) -> dict[str, Any]:
    return {
        "received_count": result.received_count,
        "imported_count": result.imported_count,
        "known_count": result.known_count,
        "quarantined_count": result.quarantined_count,
        "finding_count": result.finding_count,
        "dropped_field_count": result.dropped_field_count,
        "drops_written": result.written,
        "notes": result.notes,
        "failures": [str(failure) for failure in result.failures],
    }


def _import_facts(settings: Settings, result: ImportResult) -> list[tuple[str, Any]]:
    new, before = result.imported_count, result.known_count
    return [
        ("records", f"{result.received_count:,} read, {new:,} new, {before:,} imported before"),
        ("held back", f"{result.quarantined_count} quarantined, {result.finding_count} findings"),
        ("fields left out", result.dropped_field_count),
        ("landing files", f"{len(result.written)} written"),
        ("landing zone", settings.landing_place),
    ]


def _after(result: ImportResult | IngestResult) -> list[str]:
    files, step = (result.written, "ingest") if isinstance(result, ImportResult) else (result.drops, "status")
    more = ["cavra-pipeline quarantine"] if result.quarantined_count else []
    return [f"cavra-pipeline {step}", *more] if files else []


def _facts(title: str, pairs: Sequence[tuple[str, Any]], *after: str) -> Callable[[Terminal, Any], None]:
    def show(console: Terminal, _document: Any) -> None:
        console.facts(title, pairs)
        if after:
            console.next(*after)

    return show


def _size_of(sources: Sequence[Path | IO[bytes]]) -> int:
    size = 0
    for source in sources:
        if isinstance(source, Path) and source.exists():
            with suppress(OSError, PipelineError):
                size += sum(file.stat().st_size for file in source_files(source))
    return size


@command("ingest", "cavra-pipeline ingest", "cavra-pipeline ingest --from 2026-11-01 --to 2026-11-02")
@RANGE
@answers
def ingest(first: date | None, last: date | None) -> None:
    """Load new and changed landing files into the warehouse.

    With days, every landing file of them is loaded again.
    """
    check_order(first, last)
    settings, err = home(), standard_error()
    result = _ingest(settings, clock(), first, last)
    ignored = stray_files(settings, pseudonyms_of(settings))
    document = {
        "drop_count": len(result.drops),
        "unchanged_drop_count": result.unchanged_count,
        "received_count": result.received_count,
        "quarantined_count": result.quarantined_count,
        "finding_count": result.finding_count,
        "unknown_kind_count": result.unknown_kind_count,
        "dropped_field_count": result.dropped_field_count,
        "past_retention_record_count": result.past_retention_count,
        "past_retention_drop_count": len(result.closed_drops),
        "touched_days": sorted(day.isoformat() for day in result.touched_days),
        "ignored_files": ignored,
        "notes": result.notes,
        "failures": [str(failure) for failure in result.failures],
    }
    shown = [
        ("landing files", f"{len(result.drops):,} read, {result.unchanged_count:,} already ingested"),
        ("records", f"{result.received_count:,} received, {result.quarantined_count:,} quarantined"),
        ("findings", result.finding_count),
        ("other kinds", f"{result.unknown_kind_count:,} of the records, which no report reads; they are stored"),
        ("fields left out", result.dropped_field_count),
        ("warehouse", warehouse_of(settings).where),
    ]
    answer(document, _facts("Ingest", shown, *_after(result)))
    if not (form_of_answer() != TABLE or result.drops or result.unchanged_count):
        err.print(f"The landing zone {settings.landing_place} holds no file yet: cavra-pipeline import PATH fills it.")
    closed, left_out = len(result.closed_drops), result.past_retention_count
    if closed or left_out:
        err.print(f"past retention: {closed} landing files are left alone, {left_out} records are left out")
    for name in ignored[:_STRAYS_SHOWN]:
        err.print(f"ignored {name}: a landing file is landing/YYYY-MM-DD/NAME.jsonl (.gz, .zst)")
    exit_with(result.failures, result.notes)


def _ingest(settings: Settings, now: datetime, first: date | None, last: date | None) -> IngestResult:
    total = sum(drop.size_bytes for drop in landing_files(settings, pseudonyms_of(settings), first, last))
    with standard_error().bytes_progress("ingesting", total) as tick:
        return run_ingest(settings, now=now, first=first, last=last, tick=tick)


@command("backfill", "cavra-pipeline backfill --from 2026-11-26 --to 2026-11-27")
@RANGE
@answers
def backfill(first: date | None, last: date | None) -> None:
    """Ingest days again and make every report of each day.

    The same as a backfill in the Dagster UI. Days without a landing file are a success with nothing in them.
    """
    settings, now = home(), clock()
    if first is None or last is None or first > last:
        raise UsageError(
            "both days are needed, the first not after the last", where="backfill", remedy="Give --from DAY --to DAY"
        )
    days = days_between(first, last)
    evaluated_at(last, now)
    result = _ingest(settings, now, first, last)
    levels: Counter[str] = Counter()
    with standard_error().step_progress("making reports", len(days) * (2 * len(LANES) + 1)) as step:
        for saved_report in save_every_report(warehouse_of(settings), state_of(settings), days, now=now):
            levels[str(saved_report.document["alert_level"])] += 1
            step(f"{saved_report.report} of {saved_report.lane or 'all lanes'}, {saved_report.day}")
    document = {
        "day_count": len(days),
        "drop_count": len(result.drops),
        "received_count": result.received_count,
        "report_count": levels.total(),
        "reports_by_alert_level": dict(sorted(levels.items())),
        "failures": [str(failure) for failure in result.failures],
    }
    shown = [
        ("days", f"{len(days)}, {first} to {last}"),
        ("landing files", f"{len(result.drops):,} read, {result.received_count:,} records"),
        ("reports", f"{levels.total()}: {', '.join(f'{n} {name}' for name, n in sorted(levels.items()))}"),
    ]
    answer(document, _facts("Backfill", shown))
    exit_with(result.failures)


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
    answer(document, _facts("Pseudonym", list(document.items())))


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
@RANGE
def table_command(table_or_sql: str, path: Path, as_of: datetime | None, first: date | None, last: date | None) -> None:
    """Write a table or a query to a Parquet or CSV file.

    PATH ends in .parquet or .csv. TABLE is the name of a table or view (docs/data-dictionary.md), or one SELECT
    statement. --from and --to choose days of the landing zone. What goes back to CAVRA, or to another home, is
    written by cavra-pipeline export.
    """
    check_order(first, last)
    if (first is None) != (last is None):
        raise UsageError(
            "a range has two days", where="table", remedy="Give both --from DAY and --to DAY, or neither of them"
        )
    days = days_between(first, last) if first and last else None
    count = frames.write(table_or_sql, path, as_of=as_of, days=days)
    standard_error().print(f"{count:,} row{'' if count == 1 else 's'} written to {path}")


@command("quarantine", "cavra-pipeline quarantine", "cavra-pipeline quarantine --output csv")
@answers
def quarantine() -> None:
    """List rejected lines: where they stood and why.

    Use the SHA-256 to find the line in its source.
    """
    columns = ("drop_day", "source_file", "line_number", "reason", "sha256", "field", "file_name")
    steps = ("Correct what was rejected at its source, then import it again:", "cavra-pipeline import PATH")
    _list("Quarantine", list_quarantine, columns, steps)


@command("findings", "cavra-pipeline findings", "cavra-pipeline findings --json")
@answers
def findings() -> None:
    """List what was not public-safe: where, and by which rule.

    Secrets come first. The value itself is never shown.
    """
    columns = ("is_secret", "drop_day", "source_file", "line_number", "rule", "path", "action", "file_name")
    with reading_state() as c:
        is_leaked = bool(open_leaks(c))
    steps = ("Rotate each leaked secret, then resolve its alert:", "cavra-pipeline alerts") if is_leaked else ()
    _list("Findings", list_findings, columns, steps)


#: Headings of the tables, short so that the digest has room; CSV and JSON have the columns' own names.
_SHOWN_AS: Final = {"is_secret": "secret", "drop_day": "day", "source_file": "file", "line_number": "line"}


def _cell(column: str, value: object) -> object:
    return {"sha256": str(value)[:_DIGEST_SHOWN], "is_secret": "yes" if value else "no"}.get(column, value)


def _list(
    title: str, read: Callable[..., list[dict[str, object]]], columns: tuple[str, ...], steps: Sequence[str]
) -> None:
    with reading() as session:
        rows = read(session)

    def show(console: Terminal, _document: object) -> None:
        if not rows:
            console.print(f"{title}: none")
            return
        # Where the terminal is narrow, the last column goes first.
        names = sorted((name for name in columns if name != "file_name"), key=lambda name: name == "path")
        shown = [[_cell(c, row[c]) for c in names] for row in rows]
        console.table(f"{title}: {len(rows)}", [_SHOWN_AS.get(c, c) for c in names], shown)
        if steps:
            console.next(*steps)

    answer({"count": len(rows), title.lower(): rows}, show, title.lower(), columns)
