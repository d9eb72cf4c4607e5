"""A backfill through Dagster, in a process of its own: ``python -m benchmarks.backfill CASE FOLDER``.

A real instance on disk and a single run of ``daily_close``: ingest, plan and health of every lane, the dashboard.
Importing Dagster is not in the seconds, as importing DuckDB is not in those of the plain ingest.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks import others
from benchmarks.measure import NOW, measure
from benchmarks.records import write_drop
from cavra_pipeline.definitions import materialize
from cavra_pipeline.evidence.ingest import ingest
from cavra_pipeline.reports.store import days_between
from cavra_pipeline.settings import Settings

START = datetime(2025, 1, 1, tzinfo=UTC)
DAYS = days_between(START.date(), date(2025, 12, 31))


def prepare(folder: Path, records: int, short_days: int = 10) -> None:
    """Lays one drop a day into three homes: for the plain ingest, for the backfill, and for a short range.

    The short range is one on which the tutorials' shape finishes too; its home has the drops of those days alone.
    """
    homes = [Settings(home=folder / name).prepare() for name in ("plain", "backfill", "short")]
    for number, day in enumerate(DAYS):
        size = records * (number + 1) // len(DAYS) - records * number // len(DAYS)
        filled = homes if number < short_days else homes[:2]
        for home in filled:
            (home.landing / day.isoformat()).mkdir()
        first, *rest = [home.landing / day.isoformat() / "evidence.jsonl" for home in filled]
        write_drop(first, size, seed=number, start=START + timedelta(days=number), span=timedelta(days=1))
        for other in rest:
            other.hardlink_to(first)


def _plain(folder: Path) -> int:
    return ingest(Settings(home=folder / "plain"), now=NOW).received_count


def _single_run(folder: Path) -> int:
    return _materialized(folder / "backfill", DAYS)


def _short_run(folder: Path) -> int:
    return _materialized(folder / "short", short_range(folder))


def short_range(folder: Path) -> list[date]:
    """The days of the short range."""
    return sorted(date.fromisoformat(day.name) for day in (folder / "short" / "landing").iterdir())


def _materialized(home: Path, days: list[date]) -> int:
    if not materialize(Settings(home=home), "daily_close", days):
        raise RuntimeError("the run failed")
    return len(days)


def tutorial_shape(folder: Path) -> dict[str, Any]:
    """The short range in the tutorials' shape, one run and one process a day; it makes no report."""
    runs = [
        others.run("tutorial", str(folder / "short" / "landing"), str(folder / "tutorial.duckdb"), day.isoformat(),
                   home=folder / "tutorial")
        for day in short_range(folder)
    ]  # fmt: skip
    return {
        "seconds": sum(run["seconds"] for run in runs),
        "wall_seconds": sum(run["wall_seconds"] for run in runs),
        "count": sum(run["count"] for run in runs),
        "peak_mb": max(run["peak_mb"] for run in runs),
    }


CASES = {"plain_ingest": _plain, "single_run": _single_run, "short_run": _short_run}

if __name__ == "__main__":
    measure(CASES)
