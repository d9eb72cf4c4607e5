"""Provider incidents over a long history: ``python -m benchmarks.incidents [--records N] [--rounds R]``.

A home of all lanes over a year, in which a provider fails for some hours now and then, and one is down at the end.
Every figure is a ratio too, to a reference in the same round: one pass of DuckDB that counts the outcomes of each
provider and lane. Prints a table and JSON. Exit code 1: an outage is missing from a report, or a bar is not met.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.lanes import fill, measure_all, of_all_lanes
from benchmarks.measure import NOW, peak_megabytes
from benchmarks.records import PROVIDERS, SPAN, START, Record
from cavra_pipeline.boundary.kinds import DELIVERY_KIND
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.lanes import LANES
from cavra_pipeline.reports.incidents import incident_reports
from cavra_pipeline.reports.plan import retry_plans
from cavra_pipeline.reports.policy import retry_policy
from cavra_pipeline.settings import Settings
from cavra_pipeline.warehouse import Session

REFERENCE = "reference: one pass that counts outcomes"
OPEN, ALL, PLAN, YEAR = "open now", "all of now", "retry plan of now", "every day of a year"
BAR_SECONDS = 0.5
BAR_OF_THE_YEAR = 20
#: One outage in each of so many parts of the year, of each provider in turn; the last has no end.
OUTAGES = 30
OUTAGE = timedelta(hours=18)
DAYS = [START + timedelta(days=number + 1) for number in range(SPAN.days)]


def outages() -> Iterator[tuple[str, datetime, datetime]]:
    """Yields provider, beginning and end of each outage, in order."""
    for number in range(OUTAGES):
        end = START + SPAN * (number + 1) / OUTAGES
        yield PROVIDERS[number % len(PROVIDERS)], end - OUTAGE, end


def with_outages(count: int) -> Iterator[Record]:
    """Yields that many records of all lanes; what a broken provider was sent has failed with status 503."""
    ahead = list(outages())
    for record in of_all_lanes(count):
        at = datetime.fromisoformat(record["created_at"])
        while ahead and ahead[0][2] <= at:
            ahead.pop(0)
        if ahead and ahead[0][1] <= at and record["metadata_kind"] == DELIVERY_KIND:
            _break(record, ahead[0][0])
        yield record


def _break(record: Record, provider: str) -> None:
    if provider in record["providers"] and provider not in record["failed_providers"]:
        record["failed_providers"].append(provider)
        record["delivery_success"] = False
        for delivery in record["delivery"]["deliveries"]:
            if delivery["provider"] == provider:
                delivery |= {"success": False, "status_code": 503}


def fill_with_outages(folder: Path, count: int) -> Settings:
    """Makes a home of that many records; what is timed reads the warehouse alone."""
    settings = fill(folder, count, with_outages)
    shutil.rmtree(settings.landing)
    return settings


def cases(session: Session) -> dict[str, Callable[[int], int]]:
    """What is timed, by name: given the round, so that no answer is asked for twice, how much was found."""

    def count(_: int) -> int:
        rows = session.tuples("SELECT lane, provider, is_failed, count(*) FROM delivery_outcomes GROUP BY ALL")
        return sum(int(str(row[3])) for row in rows)

    def plan(number: int) -> int:
        lane = LANES["executive_report"]
        (document,) = retry_plans(session, lane, retry_policy(lane, {}), instants=[_at(number)], now=NOW)
        return int(document["decision_count"])

    return {
        REFERENCE: count,
        OPEN: lambda n: _incident_count(incident_reports(session, instants=[_at(n)], now=NOW, is_open=True), 1),
        ALL: lambda n: _incident_count(incident_reports(session, instants=[_at(n)], now=NOW), OUTAGES),
        PLAN: plan,
        YEAR: lambda n: _incident_count(
            incident_reports(session, instants=[at - timedelta(minutes=n + 1) for at in DAYS], now=NOW), OUTAGES
        ),
    }


def _at(number: int) -> datetime:
    return START + SPAN - timedelta(minutes=number + 1)


def _incident_count(reports: list[dict[str, Any]], least: int) -> int:
    """How many incidents the last report has; nothing if an outage is missing from it."""
    incidents = {(incident["provider"], incident["began_at"][:10]) for incident in reports[-1]["incidents"]}
    return len(incidents) if len(incidents) >= least else 0


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.incidents", description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000, help="records of all lanes (default 1,000,000)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each report is made (default 3)")
    parser.add_argument("--home", type=Path, help="where to make the home, and to leave it for another time")
    options = parser.parse_args()
    folder = options.home or Path(tempfile.mkdtemp(prefix="cavra-incidents-"))
    try:
        settings = Settings(home=folder)
        settings = settings if settings.warehouse.exists() else fill_with_outages(folder, options.records)
        with warehouse_of(settings).reading() as session:
            taken, processor, empty = measure_all(session, cases, options.rounds)
    finally:
        if not options.home:
            shutil.rmtree(folder, ignore_errors=True)
    seconds = {name: median(each) for name, each in taken.items()}
    print("| report | seconds, median | processor | x reference |\n| --- | ---: | ---: | ---: |")
    for name, each in seconds.items():
        print(f"| {name} | {each:.3f} | {median(processor[name]):.3f} | {each / seconds[REFERENCE]:.2f} |")
    print(f"\nThe year is {seconds[YEAR] / seconds[ALL]:.1f} x all of now; {peak_megabytes()} MB at most.\n")
    print(json.dumps({"records": options.records, "rounds": options.rounds, "seconds": seconds}))
    slow = [name for name in (OPEN, ALL, PLAN) if seconds[name] > BAR_SECONDS]
    slow += [YEAR] if seconds[YEAR] > BAR_OF_THE_YEAR * BAR_SECONDS else []
    if slow or empty:
        sys.exit(f"over its bar: {slow}; does not show every outage: {sorted(empty)}")


if __name__ == "__main__":
    main()
