"""The benchmark suite: ``python -m benchmarks [--records N] [--rounds R]``. Prints a table and writes JSON.

Every figure of the first table is a ratio to DuckDB's own typed load of the same file, measured in the same round; a
case is a function in ``cases.py`` and a line in ``LINES``. Then come the cost of a new day and the backfill. Exit code
1: a case did not do its work, because rows are missing or an unchanged drop was read again.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import duckdb

from benchmarks import backfill
from benchmarks.cases import DROP_DAY
from benchmarks.records import write_day, write_drop
from cavra_pipeline.settings import Settings

RESULTS = Path(__file__).parent / "results"
#: Case, what the table calls it, and its bar as a multiple of the raw load; a round runs them in this order.
LINES = (
    ("raw", "DuckDB read_json, typed, in memory", None),
    ("raw_declared", "the same, every declared column", None),
    ("raw_file", "the same as the first, into a DuckDB file", None),
    ("ingest_clean", "ingest, clean", 4.5),
    ("ingest_unchanged", "ingest again, nothing changed", None),
    ("health", "health report, process just started", 1.0),
    ("plan", "retry plan, process just started", 1.0),
    ("health_warm", "health report, warm", None),
    ("plan_warm", "retry plan, warm", None),
    ("year", "plan and health of every day of a year, two lanes, saved", None),
    ("ingest_forced", "ingest again, forced", None),
    ("ingest_faulty", "ingest, 1 % of lines faulty", 5.4),
    ("pydantic_and_pandas", "pydantic and pandas into DuckDB", None),
)
GROWTH_DAYS = (10, 100, 1000)

Result = dict[str, Any]


def run(case: str, folder: Path, module: str = "benchmarks.cases") -> Result:
    """Runs one case in a process of its own; ``wall_seconds`` has the start of that process too."""
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", module, case, str(folder)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{case} failed: {done.stderr[-2000:]}")
    return {**json.loads(done.stdout.splitlines()[-1]), "wall_seconds": time.perf_counter() - began}


def prepare(folder: Path, records: int) -> dict[str, int]:
    """Writes the clean and the faulty file and links each into the landing zone of a home."""
    return {name: prepare_file(folder, name, records, share) for name, share in (("clean", 0.0), ("faulty", 0.01))}


def prepare_file(folder: Path, name: str, records: int, faulty_share: float = 0.0) -> int:
    """Writes one file and links it into the landing zone of a home; returns its size in bytes."""
    file = folder / f"{name}.jsonl"
    size = write_drop(file, records, faulty_share=faulty_share)
    day = Settings(home=folder / name).prepare().landing / DROP_DAY.isoformat()
    day.mkdir()
    (day / "evidence.jsonl").hardlink_to(file)
    return size


def remove_warehouses(folder: Path) -> None:
    """Removes warehouses and state databases, so that the next ingest begins with none."""
    for path in (*folder.glob("*/warehouse.duckdb*"), *folder.glob("*/state.db*")):
        path.unlink()


def measure_round(folder: Path) -> Iterator[tuple[str, Result]]:
    """Runs every case once, each ingest into a warehouse that is not there yet."""
    remove_warehouses(folder)
    for case, _, _ in LINES:
        yield case, run(case, folder)


def measure_growth(folder: Path, records_a_day: int) -> list[Result]:
    """The cost of one new day with so many days already there."""
    landing = Settings(home=folder / "growth").prepare().landing
    measured: list[Result] = []
    days = 0

    def land(until: int) -> None:
        nonlocal days
        for day in range(days, until):
            write_day(landing, day, records_a_day)
        days = until

    for target in GROWTH_DAYS:
        land(target)
        run("ingest_growth", folder)
        new_days = []
        for _ in range(3):
            land(days + 1)
            new_days.append(run("ingest_growth", folder)["seconds"])
        measured.append({"days": target, "records_a_day": records_a_day, "seconds": median(new_days)})
    return measured


def measure_backfill(folder: Path, records: int) -> Result:
    """A year in one run through Dagster against its plain ingest."""
    backfill.prepare(folder, records)
    plain, single = (run(case, folder, "benchmarks.backfill") for case in ("plain_ingest", "single_run"))
    return {
        "records": records, "days": len(backfill.DAYS), "plain_ingest": plain, "single_run": single,
        "ratio": single["seconds"] / plain["seconds"],
    }  # fmt: skip


def complaints(rounds: list[dict[str, Result]], records: int, document: Result) -> list[str]:
    """What a case did not do; nothing, on any machine at any load."""
    counts = dict.fromkeys(
        ("raw", "raw_declared", "raw_file", "pydantic_and_pandas", "ingest_clean", "ingest_forced"), records
    )
    counts |= {"ingest_unchanged": 1, "ingest_faulty": records, "year": 4 * 365}
    wrong = [
        f"{case}: {measured[case]['count']}, expected {count}"
        for measured in rounds
        for case, count in counts.items()
        if measured[case]["count"] != count
    ]
    filled = document.get("backfill", {})
    if filled and (filled["plain_ingest"]["count"], filled["single_run"]["count"]) != (
        filled["records"],
        filled["days"],
    ):
        wrong.append("backfill: not every record, or not every day")
    return wrong


def summarise(rounds: list[dict[str, Result]]) -> dict[str, Result]:
    """The median over the rounds of each case: seconds, ratio to the round's raw load, peak memory."""
    return {
        case: {
            "seconds": median(measured[case]["seconds"] for measured in rounds),
            "ratio": median(measured[case]["seconds"] / measured["raw"]["seconds"] for measured in rounds),
            "peak_mb": max(measured[case]["peak_mb"] for measured in rounds),
        }
        for case, _, _ in LINES
    }


def table(summary: dict[str, Result], growth: list[Result]) -> str:
    rows = ["| case | seconds | x raw | bar | peak MB |", "| --- | ---: | ---: | ---: | ---: |"]
    for case, title, bar in LINES:
        figures = summary[case]
        limit = "" if bar is None else f"{bar:g}"
        rows.append(f"| {title} | {figures['seconds']:.2f} | {figures['ratio']:.3f} | {limit} | {figures['peak_mb']} |")
    rows += [
        "",
        f"A year of reports is {summary['year']['seconds'] / summary['health_warm']['seconds']:.1f} x one report; "
        "the bar is 20.",
    ]
    if growth:
        rows += ["", "| days there | one new day, seconds |", "| ---: | ---: |"]
    rows += [f"| {step['days']} | {step['seconds']:.3f} |" for step in growth]
    return "\n".join(rows)


def backfill_table(filled: Result) -> str:
    rows = [
        f"\n| {filled['days']} days, {filled['records']:,} records | seconds | x plain ingest | peak MB |",
        "| --- | ---: | ---: | ---: |",
    ]
    for title, case in (
        ("plain ingest", "plain_ingest"),
        ("single Dagster run: ingest and every report", "single_run"),
    ):
        result = filled[case]
        ratio = result["seconds"] / filled["plain_ingest"]["seconds"]
        rows.append(f"| {title} | {result['seconds']:.2f} | {ratio:.2f} | {result['peak_mb']} |")
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--records", type=int, default=100_000, help="records in the file (default 100,000)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each case runs; medians are shown (default 3)")
    parser.add_argument(
        "--growth-records", type=int, default=500, help="records a day of the growth case; 0: leave out"
    )
    parser.add_argument(
        "--backfill-records", type=int, help="records of the year that is backfilled; as --records; 0: leave out"
    )
    options = parser.parse_args()
    backfill_records = options.records if options.backfill_records is None else options.backfill_records
    folder = Path(tempfile.mkdtemp(prefix="cavra-benchmarks-"))
    try:
        sizes = prepare(folder, options.records)
        rounds = [dict(measure_round(folder)) for _ in range(options.rounds)]
        growth = measure_growth(folder, options.growth_records) if options.growth_records else []
        filled = measure_backfill(folder, backfill_records) if backfill_records else None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    summary = summarise(rounds)
    machine = {"cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version(),
               "duckdb": duckdb.__version__}  # fmt: skip
    document: Result = {"records": options.records, "bytes": sizes, "machine": machine, "summary": summary,
                        "growth": growth, "rounds": rounds}  # fmt: skip
    if filled:
        document["backfill"] = filled
    RESULTS.mkdir(exist_ok=True)
    target = RESULTS / f"{options.records}.json"
    target.write_text(json.dumps(document, indent=1) + "\n")
    print(f"{options.records:,} records, {sizes['clean'] / 1e6:,.0f} MB, {machine['cores']} cores\n")
    print(table(summary, growth))
    if filled:
        print(backfill_table(filled))
    print(f"\n{target.relative_to(Path.cwd()) if target.is_relative_to(Path.cwd()) else target}")
    if wrong := complaints(rounds, options.records, document):
        sys.exit("; ".join(wrong))


if __name__ == "__main__":
    main()
