"""A backfill through Dagster, in a process of its own: ``python -m benchmarks.backfill CASE FOLDER``.

A real instance on disk and a single run of ``daily_close``: ingest, plan and health of every lane, the dashboard.
Importing Dagster is not in the seconds, as importing DuckDB is not in those of the plain ingest.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from benchmarks.measure import NOW, measure
from benchmarks.records import write_drop
from cavra_pipeline.definitions import materialize
from cavra_pipeline.evidence.ingest import ingest
from cavra_pipeline.reports.store import days_between
from cavra_pipeline.settings import Settings

START = datetime(2025, 1, 1, tzinfo=UTC)
DAYS = days_between(START.date(), date(2025, 12, 31))


def prepare(folder: Path, records: int) -> None:
    """Lays one landing file a day into two homes: for the plain ingest and for the backfill."""
    homes = [Settings(home=folder / name).prepare() for name in ("plain", "backfill")]
    for number, day in enumerate(DAYS):
        size = records * (number + 1) // len(DAYS) - records * number // len(DAYS)
        first, second = [home.landing / day.isoformat() / "evidence.jsonl" for home in homes]
        first.parent.mkdir()
        second.parent.mkdir()
        write_drop(first, size, seed=number, start=START + timedelta(days=number), span=timedelta(days=1))
        second.hardlink_to(first)


def _plain(folder: Path) -> int:
    return ingest(Settings(home=folder / "plain"), now=NOW).received_count


def _single_run(folder: Path) -> int:
    if not materialize(Settings(home=folder / "backfill"), "daily_close", DAYS):
        raise RuntimeError("the run failed")
    return len(DAYS)


CASES = {"plain_ingest": _plain, "single_run": _single_run}

if __name__ == "__main__":
    measure(CASES)
