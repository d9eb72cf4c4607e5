"""Reports over a long history: ``python -m benchmarks.history [--records N] [--rounds R]``. Prints a table and JSON.

A home with that many records over a year is made once. Then come warm reports as of an early day, the middle and the
end, and the year: every day's health report and plan of two lanes, made and kept. Each case is a process of its own.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from statistics import mean, median

from benchmarks.__main__ import Result, run
from benchmarks.cases import CASES, LANE
from benchmarks.measure import NOW, measure
from benchmarks.records import SPAN, START, write_drop
from cavra_pipeline.evidence.ingest import ingest
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.reports.health import health_parameters, retry_health_reports
from cavra_pipeline.reports.plan import retry_plans
from cavra_pipeline.reports.policy import retry_policy
from cavra_pipeline.settings import Settings

INSTANTS = {"early": START + timedelta(days=20), "middle": START + SPAN / 2, "end": NOW}
DROP_RECORDS = 1_000_000
REPORTS = ("health", "plan")


def _report(report: str, at: datetime) -> Callable[[Path], int]:
    """The case that makes one report; it is made once before it is timed."""

    def make(folder: Path) -> int:
        with warehouse_of(Settings(home=folder / "clean")).reading() as session:
            if report == "health":
                document = retry_health_reports(session, LANE, health_parameters(LANE), instants=[at], now=NOW)[0]
            else:
                document = retry_plans(session, LANE, retry_policy(LANE, {}), instants=[at], now=NOW)[0]
        return int(document["evidence_record_count"])

    return make


WARM = {f"{report}_{name}": _report(report, at) for report in REPORTS for name, at in INSTANTS.items()}


def fill(folder: Path, records: int) -> float:
    """Makes a home of that many records, in drops of a million each, and returns the size of the warehouse in MB."""
    settings = Settings(home=folder / "clean").prepare()
    drops = -(-records // DROP_RECORDS)
    for number in range(drops):
        first, last = records * number // drops, records * (number + 1) // drops
        start, end = START + SPAN * number / drops, START + SPAN * (number + 1) / drops
        day = settings.landing / end.date().isoformat()
        day.mkdir()
        write_drop(day / "evidence.jsonl", last - first, seed=number + 1, start=start, span=end - start, first=first)
    result = ingest(settings, now=NOW)
    if result.received_count != records:
        raise RuntimeError(f"{result.received_count} of {records} records came in")
    shutil.rmtree(settings.landing)
    return settings.warehouse.stat().st_size / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.history", description=__doc__)
    parser.add_argument("--records", type=int, default=10_000_000, help="records of the year (default 10,000,000)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each report is made (default 3)")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="cavra-history-"))
    try:
        megabytes = fill(folder, options.records)
        results: dict[str, Result] = {}
        for case in WARM:
            rounds = [run(case, folder, "benchmarks.history") for _ in range(options.rounds)]
            results[case] = {**rounds[0], "seconds": median(result["seconds"] for result in rounds)}
        results["year"] = run("year", folder, "benchmarks.history")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    report_seconds = mean(results[f"{report}_end"]["seconds"] for report in REPORTS)
    print("| case | seconds | peak MB |\n| --- | ---: | ---: |")
    for case, result in results.items():
        print(f"| {case} | {result['seconds']:.2f} | {result['peak_mb']} |")
    year_seconds = results["year"]["seconds"]
    print(f"\nThe year is {year_seconds / report_seconds:.1f} x one report (health and plan at the end, mean).\n")
    print(json.dumps({**vars(options), "warehouse_mb": megabytes, "cases": results}))


def _case() -> None:
    name, folder = sys.argv[1], Path(sys.argv[2])
    if name in WARM:
        WARM[name](folder)
    measure({**WARM, "year": CASES["year"]})


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] in (*WARM, "year"):
        _case()
    else:
        main()
