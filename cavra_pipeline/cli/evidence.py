"""The commands that import, ingest and export evidence, and list what the boundary held back."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path
from typing import IO, Any, Final

import click

from cavra_pipeline.cli.command import TABLE, answers, command, form_of_answer, missing
from cavra_pipeline.cli.common import (
    answer,
    clock,
    day_range,
    exit_after_run,
    exit_with,
    home,
    range_option,
)
from cavra_pipeline.cli.tables import as_facts, short_time
from cavra_pipeline.documents import instant
from cavra_pipeline.errors import PipelineError, UsageError
from cavra_pipeline.evidence.importer import ImportResult, import_evidence
from cavra_pipeline.evidence.ingest import ingest as run_ingest
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.evidence.landing_zone import landing_files, stray_files
from cavra_pipeline.evidence.load import IngestResult
from cavra_pipeline.evidence.pseudonym_key import pseudonyms_of
from cavra_pipeline.evidence.stores import source_files
from cavra_pipeline.lanes import LANES
from cavra_pipeline.reports.store import REQUESTED_AS, SavedReports, list_reports, save_every_report
from cavra_pipeline.settings import Settings
from cavra_pipeline.sources import pull, read_sources
from cavra_pipeline.state import state_of
from cavra_pipeline.terminal import Terminal, standard_error

_STDIN: Final = "-"
_STRAYS_SHOWN: Final = 10


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
    if not (paths or of_sources):
        raise missing("paths")
    settings = home()
    if of_sources:
        _import_sources(settings, paths)
        return
    sources: list[tuple[str, Path | IO[bytes]]] = [
        ("standard input", sys.stdin.buffer) if path == _STDIN else (path, Path(path)) for path in paths
    ]
    with standard_error().bytes_progress("importing", _size_of([source for _, source in sources])) as tick:
        result = import_evidence(settings, sources, now=clock(), tick=tick)
    result.note_later(clock())
    # A table of nothing above the failures would say nothing.
    shown = [] if result.failures and not result.received_count else _import_facts(settings, result)
    answer(_import_document(result), as_facts("Import" if shown else "", shown, *_after(result)))
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
        as_facts("Import", _import_facts(settings, result), *_after(result))(console, None)

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


def _size_of(sources: Sequence[Path | IO[bytes]]) -> int:
    size = 0
    for source in sources:
        if isinstance(source, Path) and source.exists():
            with suppress(OSError, PipelineError):
                size += sum(file.stat().st_size for file in source_files(source))
    return size


@command("ingest", "cavra-pipeline ingest", "cavra-pipeline ingest --from 2026-11-01 --to 2026-11-02")
@range_option("the first with a file")
@answers
def ingest(first: date | None, last: date | None) -> None:
    """Load new and changed landing files into the warehouse.

    With --from or --to, every landing file of these days is loaded again.
    """
    settings, err, now = home(), standard_error(), clock()
    if first:
        last = day_range(first, last, now, is_past=False)[-1]
    result = _ingest(settings, now, first, last)
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
    answer(document, as_facts("Ingest", shown, *_after(result)))
    if not (form_of_answer() != TABLE or result.drops or result.unchanged_count):
        none = "no file of these days" if last else "no file yet"
        err.print(f"The landing zone {settings.landing_place} holds {none}: cavra-pipeline import PATH fills it.")
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
@range_option(is_required=True)
@answers
def backfill(first: date, last: date | None) -> None:
    """Ingest days again and make every report of each day.

    The same as a backfill in the Dagster UI. Days without a landing file are a success with nothing in them.
    """
    settings, now = home(), clock()
    days = day_range(first, last, now)
    result = _ingest(settings, now, first, days[-1])
    levels: Counter[str] = Counter()
    with standard_error().step_progress("making reports", len(days) * (2 * len(LANES) + 1)) as step:
        for saved_report in save_every_report(warehouse_of(settings), state_of(settings), days, now=now):
            levels[str(saved_report.document["alert_level"])] += 1
            step(f"{saved_report.report} of {saved_report.lane or 'all lanes'}, {saved_report.day}")
    document = {
        "day_count": len(days),
        "drop_count": len(result.drops),
        "received_count": result.received_count,
        **_levels_document(levels),
        "failures": [str(failure) for failure in result.failures],
    }
    files = ("landing files", f"{len(result.drops):,} read, {result.received_count:,} records")
    answer(document, as_facts("Backfill", _made_facts(days, levels, files), "cavra-pipeline status"))
    exit_with(result.failures)


def _levels_document(levels: Counter[str]) -> dict[str, Any]:
    return {"report_count": levels.total(), "reports_by_alert_level": dict(sorted(levels.items()))}


def _made_facts(days: Sequence[date], levels: Counter[str], *more: tuple[str, Any]) -> list[tuple[str, Any]]:
    """Says which days were reported on, and how many of their reports have each level."""
    by_level = ", ".join(f"{number:,} {name}" for name, number in sorted(levels.items()))
    return [
        ("days", f"{len(days):,}, {days[0]} to {days[-1]}"),
        *more,
        ("reports", f"{levels.total():,}, {levels.total() // len(days):,} of each day: {by_level}"),
    ]


@command("refresh", "cavra-pipeline refresh", "cavra-pipeline refresh --from yesterday --to today")
@range_option("the last day")
@click.option("--run-id", metavar="ID", help="Id that the Dagster run is to have.")
@answers
def refresh(first: date | None, last: date | None, run_id: str | None) -> None:
    """Ingest and make the reports of days as one Dagster run.

    Today if no day is given. It needs no daemon.
    """
    from cavra_pipeline.definitions import REFRESH_JOB, REFRESH_TAGS, materialize

    settings, now = home(), clock()
    days = day_range(first or last or now.date(), last, now)
    has_succeeded = materialize(settings, REFRESH_JOB, days, run_id=run_id, tags=REFRESH_TAGS)
    saved = list_reports(state_of(settings), SavedReports(first=days[0], last=days[-1]))
    levels = Counter(str(row["alert_level"]) for row in saved if row["report"] in REQUESTED_AS)
    document = {"has_succeeded": has_succeeded, "day_count": len(days), **_levels_document(levels)}
    title = "Refresh" if has_succeeded else "Refresh: failed; saved before that"
    answer(document, as_facts(title, _made_facts(days, levels), "cavra-pipeline status"))
    exit_after_run(has_succeeded)
