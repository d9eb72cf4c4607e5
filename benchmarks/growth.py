"""How a day costs as the days pile up: ``python -m benchmarks.growth [--millions 1 10] [--lake]``. Prints a table.

A home grows to so many million records, a year of them at the last, of 10,000 repositories whose sizes follow Zipf's
law. Only what fails in the first days fails for good, so that the answers don't grow with the home. At each size come
the ingest of one more day and warm reports as of its end. With ``--lake`` the warehouse is a lake in a real PostgreSQL
and a real S3 server (``benchmarks.scale``). Ratios are to the first size of the same run.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from bisect import bisect_left
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import accumulate
from pathlib import Path
from random import Random
from statistics import median
from typing import Any, Final

from benchmarks.records import LANE, PROVIDERS, START, Record, delivery_of, records
from benchmarks.scale import ASKS, home_of, seconds, servers
from cavra_pipeline.evidence.ingest import ingest
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.reports.health import health_parameters, retry_health_reports
from cavra_pipeline.reports.plan import retry_plans
from cavra_pipeline.reports.policy import retry_policy
from cavra_pipeline.settings import Settings
from tests.lake.homes import lake_url

REPOSITORIES: Final = 10_000
DAYS: Final = 365
DAY: Final = timedelta(days=1)
#: Failures of records before this number stand for ever.
FAILING_FOR_GOOD: Final = 100_000
#: Days that are ingested one by one at each size.
SINGLE_DAYS: Final = 3
#: What every record says, whatever its kind.
COMMON: Final = ("schema_version", "product", "session_id", "created_at", "signer", "decision_count", "blocked_count",
                 "approval_required_count")  # fmt: skip
_SIZES: Final = list(accumulate(1 / rank for rank in range(1, REPOSITORIES + 1)))


def repository(plan: str) -> str:
    """The repository of a plan: the same for all its records."""
    share = int(plan.rpartition("-")[2]) * 2_654_435_761 % 2**32 / 2**32
    return f"repository-{bisect_left(_SIZES, share * _SIZES[-1]):05d}"


def settling(record: Record, number: int) -> Record:
    """The record in a history in which nothing stays open: the last of the three numbers of a plan is a success."""
    if number % 3 == 2:
        common = {name: record[name] for name in COMMON}
        sent = delivery_of(number, record["created_at"], Random(number))
        deliveries = [{**delivery, "success": True, "status_code": 200} for delivery in sent["delivery"]["deliveries"]]
        return {**common, **sent, "delivery_success": True, "failed_providers": [],
                "delivery": {"deliveries": deliveries}, "status_codes": [200] * len(deliveries)}  # fmt: skip
    # Else the retry would be of a provider that the plan is not sent to.
    return {**record, "provider": PROVIDERS[number // 3 % len(PROVIDERS)]} if "execution_id" in record else record


def named(record: Record, number: int) -> Record:
    """The record with its repository in the name of its plan; from a number on nothing stays open."""
    if number >= FAILING_FOR_GOOD:
        record = settling(record, number)
    plan = record.get("plan_id")
    return record if plan is None else {**record, "plan_id": f"{repository(plan)}/{plan}"}


def write_day(home: Settings, number: int, count: int) -> datetime:
    """Writes the landing file of one day; returns its end."""
    start = START + number * DAY
    folder = home.landing / start.date().isoformat()
    folder.mkdir()
    with (folder / "evidence.jsonl").open("wb") as file:
        day_records = records(count, seed=number, start=start, span=DAY, first=number * count)
        for which, record in enumerate(day_records, number * count):
            file.write(json.dumps(named(record, which)).encode() + b"\n")
    return start + DAY


def warm(home: Settings, at: datetime) -> Iterator[tuple[str, float]]:
    """Yields each report and the median of its seconds; the first time of each is left out."""
    health, policy = health_parameters(LANE), retry_policy(LANE)
    with warehouse_of(home).reading() as session:
        for name in ("health", "plan"):
            times = []
            for number in range(ASKS + 1):
                arguments: dict[str, Any] = {"instants": [at + timedelta(microseconds=number)], "now": at}
                if name == "health":
                    times.append(seconds(lambda: retry_health_reports(session, LANE, health, **arguments)))  # noqa: B023
                else:
                    times.append(seconds(lambda: retry_plans(session, LANE, policy, **arguments)))  # noqa: B023
            yield name, median(times[1:])


def grow(home: Settings, millions: list[int]) -> None:
    """Grows the home, measures at each size and prints a row for it."""
    count = millions[-1] * 1_000_000 // DAYS
    first: dict[str, float] = {}
    written, at = 0, START
    for size in millions:
        days = size * DAYS // millions[-1]
        while written < days - SINGLE_DAYS:
            at = write_day(home, written, count)
            written += 1
        ingest(home, now=at)
        singles = []
        for _ in range(SINGLE_DAYS):
            at = write_day(home, written, count)
            written += 1
            singles.append(seconds(lambda: ingest(home, now=at)))  # noqa: B023
        medians = {"one day more": median(singles), **dict(warm(home, at))}
        first = first or medians
        print(
            f"{size:4} million, {written:3} days of {count:,}:  "
            + "   ".join(f"{name} {value:7.3f} s x {value / first[name]:5.2f}" for name, value in medians.items()),
            flush=True,
        )


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__.split("With")[0])
    parser.add_argument("--millions", type=int, nargs="+", default=[1, 10], help="sizes, ascending (default 1 10)")
    parser.add_argument("--lake", action="store_true", help="a lake instead of the file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cavra-growth-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        if not options.lake:
            grow(home_of(folder / "file"), options.millions)
            return 0
        with servers(folder) as address:
            lake = home_of(
                folder / "lake",
                state_address=address.render_as_string(hide_password=False),
                warehouse_address=lake_url(address),
                data_address="s3://cavra/data",
            )
            grow(lake, options.millions)
    return 0


if __name__ == "__main__":
    sys.exit(main())
