"""Many runs at once: ``python -m benchmarks.many_runs [--runs K]``. Prints a line of progress and one JSON object.

A real ``dagster dev`` with its daemon on a home of its own: K daily partitions are queued as K separate runs of
``daily_close`` (ingest, every report), eight may run at once, a schedule ticks every minute, and a reader opens the
warehouse every second. It fails unless every run is green, every row is there once, and the reader met no error.
The warehouse pool lets as many steps go side by side, so that nothing but the warehouse's own gate keeps them apart;
``--pool 1`` measures a home as it comes.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from benchmarks.records import write_drop
from cavra_pipeline.errors import PipelineError
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.lanes import LANES
from cavra_pipeline.reports.store import SavedReports, list_reports
from cavra_pipeline.settings import Settings
from cavra_pipeline.state import state_of

START = datetime(2025, 1, 1, tzinfo=UTC)
SCHEDULE = "recovery_retry_worker"
REPORTS_A_DAY = 2 * len(LANES) + 1
LOCATION = "cavra_pipeline.definitions"

_LAUNCH = """mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {
  __typename ... on PythonError { message } } }"""
_STOP = """mutation($id: String!) { stopSensor(id: $id) { __typename } }"""
_SENSOR = """query($location: String!) { sensorOrError(sensorSelector: {repositoryName: "__repository__",
  repositoryLocationName: $location, sensorName: "drop_sensor"}) { ... on Sensor { id } } }"""
_RUNS = "{ runsOrError { ... on Runs { results { status tags { key value } } } } }"


class Reader(threading.Thread):
    """Opens the warehouse every second and counts; a count that shrinks or a failure to open is an error."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(daemon=True)
        self._settings = settings
        self._ended = threading.Event()
        self.looks = 0
        self.longest_seconds = 0.0
        self.errors: list[str] = []

    def run(self) -> None:
        seen = 0
        while not self._ended.wait(1):
            began = time.perf_counter()
            try:
                with warehouse_of(self._settings).reading() as session:
                    ((count,),) = session.tuples("SELECT count(*) FROM evidence")
            except PipelineError as error:
                self.errors.append(str(error))
                continue
            self.longest_seconds = max(self.longest_seconds, time.perf_counter() - began)
            self.looks += 1
            if int(str(count)) < seen:
                self.errors.append(f"{count} rows after {seen}")
            seen = int(str(count))

    def stop(self) -> None:
        self._ended.set()
        self.join(180)


def _ask(port: int, query: str, **variables: Any) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/graphql",
        data=json.dumps({"query": query, "variables": variables}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 -- loopback
        document = json.load(answer)
    if document.get("errors"):
        raise RuntimeError(str(document["errors"])[:1000])
    return document["data"]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _dagster(settings: Settings) -> Iterator[int]:
    """``dagster dev`` with the schedule ticking every minute; yields its port when it answers."""
    port = _free_port()
    environ = {
        **os.environ,
        "CAVRA_HOME": str(settings.home),
        "DAGSTER_HOME": str(settings.dagster_home),
        f"CAVRA_CRON_{SCHEDULE.upper()}": "* * * * *",
        "CAVRA_BUSY_WAIT_SECONDS": "1200",
    }
    with (settings.home / "dagster.log").open("wb") as log:
        started = subprocess.Popen(
            [sys.executable, "-m", "dagster", "dev", "-m", LOCATION, "-p", str(port)],
            env=environ, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        _until_it_answers(port)
        yield port
    finally:
        started.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            started.wait(timeout=60)
        with suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)


def _until_it_answers(port: int) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        with suppress(urllib.error.URLError, ConnectionError, TimeoutError, KeyError, TypeError):
            # The location is loaded when its sensor can be found; drops come in by the runs alone.
            sensor = _ask(port, _SENSOR, location=LOCATION)["sensorOrError"]["id"]
            _ask(port, _STOP, id=sensor)
            return
        time.sleep(1)
    raise RuntimeError("dagster dev did not answer within three minutes")


def _launch(port: int, day: str) -> None:
    selector = {"repositoryName": "__repository__", "repositoryLocationName": LOCATION, "jobName": "daily_close"}
    tags = [{"key": "dagster/partition", "value": day}, {"key": "benchmark", "value": "many_runs"}]
    answer = _ask(
        port, _LAUNCH, params={"selector": selector, "runConfigData": {}, "executionMetadata": {"tags": tags}}
    )["launchRun"]
    if answer["__typename"] != "LaunchRunSuccess":
        raise RuntimeError(str(answer)[:1000])


def _statuses(port: int) -> tuple[Counter[str], Counter[str]]:
    """How many of our runs, and of the schedule's, are in which state."""
    ours: Counter[str] = Counter()
    scheduled: Counter[str] = Counter()
    for run in _ask(port, _RUNS)["runsOrError"]["results"]:
        tags = {tag["key"]: tag["value"] for tag in run["tags"]}
        (ours if "benchmark" in tags else scheduled)[run["status"]] += 1
    return ours, scheduled


def _let_side_by_side(settings: Settings, pool: int) -> None:
    """Sets how many steps may be in the warehouse's pool at once."""
    path = settings.dagster_home / "dagster.yaml"
    instance = yaml.safe_load(path.read_text(encoding="utf-8"))
    instance["concurrency"]["pools"]["default_limit"] = pool
    path.write_text(yaml.safe_dump(instance), encoding="utf-8")


def measure(folder: Path, runs: int, records_a_day: int, limit_seconds: float, pool: int) -> dict[str, Any]:
    """Queues the runs and waits for them."""
    settings = Settings(home=folder).prepare()
    _let_side_by_side(settings, pool)
    days = [START + timedelta(days=number) for number in range(runs)]
    for number, day in enumerate(days):
        target = settings.landing / day.date().isoformat()
        target.mkdir()
        write_drop(target / "evidence.jsonl", records_a_day, seed=number, start=day, span=timedelta(days=1))
    reader = Reader(Settings(home=folder, busy_wait_seconds=120))
    with _dagster(settings) as port:
        reader.start()
        began = time.monotonic()
        for day in days:
            _launch(port, day.date().isoformat())
        queued_seconds = time.monotonic() - began
        ours, scheduled = _statuses(port)
        while sum(ours[state] for state in ("SUCCESS", "FAILURE", "CANCELED")) < runs:
            if time.monotonic() - began > limit_seconds:
                break
            time.sleep(5)
            ours, scheduled = _statuses(port)
            print(f"{time.monotonic() - began:5.0f} s  {dict(ours)}", file=sys.stderr)
        seconds = time.monotonic() - began
        reader.stop()
    with warehouse_of(settings).reading() as session:
        ((rows, ids),) = session.tuples(
            "SELECT count(*), count(DISTINCT session_id) FROM evidence WHERE drop_day < '2026-01-01'"
        )
    reports = len(list_reports(state_of(settings), SavedReports(last=date(2025, 12, 31))))
    return {
        "runs": runs, "records_a_day": records_a_day, "pool": pool,
        "seconds": seconds, "queued_seconds": queued_seconds,
        "statuses": dict(ours), "schedule_statuses": dict(scheduled),
        "rows": rows, "distinct_rows": ids, "expected_rows": runs * records_a_day,
        "reports": reports, "expected_reports": runs * REPORTS_A_DAY,
        "reader_looks": reader.looks, "reader_longest_seconds": reader.longest_seconds, "reader_errors": reader.errors,
    }  # fmt: skip


def complaints(result: dict[str, Any]) -> list[str]:
    """What is wrong with a result; nothing, if no run failed, no row is lost and the reader met no error."""
    wrong = []
    if result["statuses"] != {"SUCCESS": result["runs"]}:
        wrong.append(f"runs: {result['statuses']}")
    if result["schedule_statuses"].get("FAILURE"):
        wrong.append(f"runs of the schedule: {result['schedule_statuses']}")
    if not result["rows"] == result["distinct_rows"] == result["expected_rows"]:
        wrong.append(f"{result['rows']} rows, expected {result['expected_rows']}")
    if result["reports"] != result["expected_reports"]:
        wrong.append(f"{result['reports']} reports, expected {result['expected_reports']}")
    if result["reader_errors"] or not result["reader_looks"]:
        wrong.append(f"the reader: {result['reader_errors'] or 'it never looked'}")
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.many_runs", description=__doc__)
    parser.add_argument("--runs", type=int, default=30, help="daily partitions, each a run (default 30, at most 365)")
    parser.add_argument("--records", type=int, default=200, help="records a day (default 200)")
    parser.add_argument("--minutes", type=float, default=20, help="when to give up (default 20)")
    parser.add_argument("--pool", type=int, default=8, help="steps in the warehouse pool at once (default 8)")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="cavra-many-runs-"))
    try:
        result = measure(folder, options.runs, options.records, options.minutes * 60, options.pool)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(result, indent=1))
    if wrong := complaints(result):
        sys.exit("; ".join(wrong))


if __name__ == "__main__":
    main()
