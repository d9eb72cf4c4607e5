"""The real thing: `dagster dev` with its daemon in a clean home, and two runs at once on one home."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import ManagedGrpcPythonEnvCodeLocationOrigin, RemoteRepositoryOrigin
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, ScheduleInstigatorData
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from cavra_pipeline.settings import Settings
from tests.support import REPOSITORY, delivery, drop, home_with, query, saved, worker_run

pytestmark = pytest.mark.slow

LOCATION = "cavra_pipeline.definitions"
SCHEDULE = "recovery_retry_worker"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(settings: Settings) -> dict[str, str]:
    return {**os.environ, "CAVRA_HOME": str(settings.home), "DAGSTER_HOME": str(settings.dagster_home)}


def default_signals(*command: str) -> list[str]:
    """A command that heeds signals: a test runner in the background ignores SIGINT, and what it starts inherits that.

    A program of its own resets them, since a fork of a process with threads may not run Python before it executes.
    """
    reset = (
        "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); "
        "signal.signal(signal.SIGTERM, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"
    )
    return [sys.executable, "-c", reset, *command]


@contextmanager
def dagster_dev(settings: Settings, port: int, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`dagster dev` as docs say to start it; whatever is left of it at the end is killed."""
    with log.open("wb") as output:
        started = subprocess.Popen(
            default_signals(sys.executable, "-m", "dagster", "dev", "-w", "workspace.yaml", "-p", str(port)),
            cwd=REPOSITORY,
            env=environment(settings),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield started
        finally:
            with suppress(ProcessLookupError):
                os.killpg(started.pid, signal.SIGKILL)
            started.wait(timeout=20)


def ask(port: int, query_: str) -> Any:
    """What GraphQL answers, or nothing as long as nobody does."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/graphql",
        data=json.dumps({"query": query_}).encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 -- loopback
            return json.load(answer)["data"]
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return None


def wait_for(what: str, found: Callable[[], Any], *, seconds: float, log: Path) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := found():
            return answer
        time.sleep(0.5)
    raise AssertionError(f"no {what} within {seconds:g} s; the log ends with {log.read_text()[-3000:]}")


def owed_a_tick(settings: Settings, *, since: float) -> None:
    """Notes that the schedule was turned on a while ago, so that the daemon owes it its newest tick at once."""
    origin = RemoteRepositoryOrigin(
        ManagedGrpcPythonEnvCodeLocationOrigin(
            LoadableTargetOrigin(executable_path=sys.executable, module_name=LOCATION), location_name=LOCATION
        ),
        "__repository__",
    )
    data = ScheduleInstigatorData("*/30 * * * *", start_timestamp=time.time() - since)
    with dg.DagsterInstance.from_config(str(settings.dagster_home)) as instance:
        instance.add_instigator_state(
            InstigatorState(
                origin.get_instigator_origin(SCHEDULE), InstigatorType.SCHEDULE, InstigatorStatus.RUNNING, data
            )
        )


LOCATIONS = "{ repositoriesOrError { ... on RepositoryConnection { nodes { location { name } } } } }"
RUNS = "{ runsOrError(limit: 50) { ... on Runs { results { status tags { key value } } } } }"
TICKS = """{ sensorOrError(sensorSelector: {repositoryName: "__repository__", repositoryLocationName: "%s",
  sensorName: "%s"}) { ... on Sensor { sensorState { status ticks(limit: 5) { status } } } } }"""


def status_of_runs(port: int, tag: str, value: str) -> list[str]:
    runs = (ask(port, RUNS) or {}).get("runsOrError", {}).get("results", [])
    return [run["status"] for run in runs if {"key": tag, "value": value} in run["tags"]]


@pytest.mark.timeout(240)
def test_in_a_clean_home_the_daemon_ticks_and_a_schedule_and_a_drop_each_make_a_green_run(tmp_path: Path) -> None:
    settings, port, log = home_with(tmp_path, is_new=True), free_port(), tmp_path / "dagster.log"
    today = datetime.now(UTC)
    owed_a_tick(settings, since=3600)

    with dagster_dev(settings, port, log) as started:
        loaded = wait_for(
            "code location",
            lambda: ask(port, LOCATIONS),
            seconds=90, log=log,
        )  # fmt: skip
        assert [node["location"]["name"] for node in loaded["repositoriesOrError"]["nodes"]] == [LOCATION]
        drop(settings, [delivery(today, session_id="dropped"), worker_run(today)], day=today.date().isoformat())

        wait_for(
            "green run of the schedule",
            lambda: "SUCCESS" in status_of_runs(port, "dagster/schedule_name", SCHEDULE),
            seconds=90, log=log,
        )  # fmt: skip
        wait_for(
            "green run of the drop sensor",
            lambda: "SUCCESS" in status_of_runs(port, "dagster/sensor_name", "drop_sensor"),
            seconds=90, log=log,
        )  # fmt: skip
        health = ask(port, "{ instance { daemonHealth { allDaemonStatuses { daemonType healthy } } } }")
        healthy = {
            one["daemonType"] for one in health["instance"]["daemonHealth"]["allDaemonStatuses"] if one["healthy"]
        }
        assert {"SCHEDULER", "SENSOR"} <= healthy
        for sensor in ("drop_sensor", "late_evidence_sensor"):
            state = ask(port, TICKS % (LOCATION, sensor))["sensorOrError"]["sensorState"]
            assert state["status"] == "RUNNING", sensor
            assert {tick["status"] for tick in state["ticks"]} <= {"SUCCESS", "SKIPPED", "STARTED"}, sensor
            assert state["ticks"], sensor
        every = [run["status"] for run in ask(port, RUNS)["runsOrError"]["results"]]
        assert "FAILURE" not in every

        os.kill(started.pid, signal.SIGTERM)
        assert started.wait(timeout=30) == 0

    assert query(settings, "SELECT count(*) FROM evidence WHERE session_id = 'dropped'") == [(1,)]
    assert "Traceback" not in log.read_text()


def test_two_runs_at_once_on_one_home_are_both_green_and_nothing_is_lost(tmp_path: Path) -> None:
    days = ("2026-06-24", "2026-06-25")
    settings = home_with(
        tmp_path, {day: [delivery(session_id=f"{day} {n}") for n in range(200)] for day in days}, is_new=True
    )
    script = (
        "import sys; from datetime import date; from cavra_pipeline.definitions import materialize; "
        "from cavra_pipeline.settings import load_settings; "
        "sys.exit(not materialize(load_settings(), 'daily_close', [date.fromisoformat(sys.argv[1])]))"
    )

    started = [
        subprocess.Popen(
            [sys.executable, "-c", script, day],
            env=environment(settings),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for day in days
    ]
    said = [one.communicate(timeout=150) for one in started]

    assert [one.returncode for one in started] == [0, 0], said
    assert query(settings, "SELECT drop_day::VARCHAR, count(*) FROM evidence_records GROUP BY 1 ORDER BY 1") == [
        (day, 200) for day in days
    ]
    counts = Counter(day.isoformat() for _, _, day in saved(settings))
    assert sorted(counts) == list(days)
    assert len(set(counts.values())) == 1
