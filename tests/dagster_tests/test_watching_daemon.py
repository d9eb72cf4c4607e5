"""The watching with the real daemon: ten hours away, a stopped schedule, a held warehouse, a failed run, broken code.

Only when the watching last looked is made up: its cursor is moved back. Daemon, sensors, schedules, runs, failures, the
ledger and the alerts are real.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, SensorInstigatorData
from dagster._daemon.types import DaemonHeartbeat

from cavra_pipeline.definitions import build_defs
from cavra_pipeline.evidence.ingest import warehouse_of
from cavra_pipeline.settings import Settings
from cavra_pipeline.slots.memory import dump, load
from sensors.slots import NAME, build_missed_worker_run_sensor
from tests.dagster_tests.runs import QUIET
from tests.dagster_tests.test_daemon import default_signals, environment
from tests.dagster_tests.test_watching import origin, put_schedule
from tests.support import REPOSITORY, home_with, query

pytestmark = pytest.mark.slow

WORKER, EXECUTIVE = "recovery_retry_worker", "executive_delivery_retry"
SECONDS = 5


@contextmanager
def daemon(settings: Settings, log: Path) -> Iterator[None]:
    """The real daemon alone; whatever is left of it at the end is killed."""
    with log.open("ab") as output:
        started = subprocess.Popen(
            [str(Path(sys.executable).with_name("dagster-daemon")), "run", "-m", "cavra_pipeline.definitions"],
            cwd=REPOSITORY,
            env={**environment(settings), "CAVRA_WATCH_SECONDS": str(SECONDS), "CAVRA_BUSY_WAIT_SECONDS": "20"},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=default_signals,
        )
        try:
            yield
        finally:
            os.killpg(started.pid, signal.SIGKILL)
            started.wait(timeout=20)


def wait_for(what: str, found: Callable[[], Any], log: Path, *, seconds: float = 90) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := found():
            return answer
        time.sleep(0.3)
    raise AssertionError(f"no {what} within {seconds:g} s; the log ends with {log.read_text()[-3000:]}")


def put_cursor(instance: dg.DagsterInstance, name: str, cursor: str) -> None:
    data = SensorInstigatorData(cursor=cursor)
    state = InstigatorState(origin(name), InstigatorType.SENSOR, InstigatorStatus.DECLARED_IN_CODE, data)
    known = instance.get_instigator_state(state.instigator_origin_id, state.selector_id)
    (instance.update_instigator_state if known else instance.add_instigator_state)(state)


def cursor_of(instance: dg.DagsterInstance, name: str) -> str | None:
    rows = instance.all_instigator_state(instigator_type=InstigatorType.SENSOR)
    return next((row.instigator_data.cursor for row in rows if row.instigator_name == name), None)  # type: ignore[union-attr]


def run_of_slot(settings: Settings, instance: dg.DagsterInstance, slot: datetime, **config: Any) -> bool:
    """A run as the schedule would have asked for it, carried out here."""
    tags = {"dagster/schedule_name": WORKER, ".dagster/scheduled_execution_time": slot.isoformat()}
    job = build_defs(settings).resolve_job_def(WORKER)
    done = job.execute_in_process(
        instance=instance, tags=tags, partition_key=slot.date().isoformat(), raise_on_error=False,
        run_config={**QUIET, **config},
    )  # fmt: skip
    return done.success


def causes(settings: Settings, schedule: str) -> dict[tuple[str, str | None], int]:
    asked = f"SELECT verdict, cause, count(*) FROM schedule_slots WHERE schedule = '{schedule}' GROUP BY ALL"
    return {(verdict, cause): count for verdict, cause, count in query(settings, asked)}


def episodes(settings: Settings) -> dict[tuple[str, str], list[tuple[str, str]]]:
    """Every alert there has been: state and first cause of each of its episodes."""
    found: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for kind, subject, state, cause in query(
        settings, "SELECT kind, subject, state, cause FROM alerts ORDER BY episode"
    ):
        found.setdefault((kind, subject), []).append((state, cause))
    return found


def states(settings: Settings, kind: str, subject: str) -> list[str]:
    return [state for state, _ in episodes(settings).get((kind, subject), [])]


def is_over(settings: Settings, kind: str, subject: str) -> bool:
    return states(settings, kind, subject) == ["resolved"]


@pytest.mark.timeout(300)
def test_each_trouble_gets_its_verdict_and_cause_and_each_alert_comes_and_goes_once(tmp_path: Path) -> None:
    log, now = tmp_path / "daemon.log", datetime.now(UTC)
    settings = home_with(tmp_path, is_new=True, start_date=(now - timedelta(days=3)).date())
    away_since = now - timedelta(hours=10)
    busy = (now - timedelta(hours=5)).replace(minute=0, second=0, microsecond=0)
    failed = busy + timedelta(minutes=30)
    with dg.DagsterInstance.from_config(str(settings.dagster_home)) as instance:
        # Ten hours ago the watching looked for the last time, under a daemon that has gone since.
        instance.add_daemon_heartbeat(DaemonHeartbeat(away_since.timestamp(), "SENSOR", "gone"))
        put_schedule(instance, is_on=True, started=away_since - timedelta(days=1))
        put_schedule(instance, name=EXECUTIVE, is_on=True, started=away_since)
        sensor = build_missed_worker_run_sensor(settings, clock=lambda: away_since)
        with dg.build_sensor_context(
            instance=instance, repository_def=build_defs(settings).get_repository_def()
        ) as context:
            put_cursor(instance, NAME, sensor.evaluate_tick(context).cursor or "")
        put_cursor(instance, "failed_run_sensor", '{"after": 0}')
        # A schedule is stopped; two runs come to nothing, one as the warehouse is held, one by its own fault.
        put_schedule(instance, name=EXECUTIVE, is_on=False)
        with warehouse_of(settings).writing("hold it"):
            assert not run_of_slot(replace(settings, busy_wait_seconds=0.2), instance, busy)
        broken = {"ops": {"recovery_escalation_retry_plan": {"config": {"max_retry_attempts": 1000}}}}
        assert not run_of_slot(settings, instance, failed, **broken)

        with daemon(settings, log):
            wait_for("alert of the stopped schedule", lambda: states(settings, "instigator_off", EXECUTIVE), log)
            wait_for("verdicts", lambda: causes(settings, WORKER) and causes(settings, EXECUTIVE), log)
            worker, executive = causes(settings, WORKER), causes(settings, EXECUTIVE)
            assert worker["missed", "warehouse_busy"] == worker["missed", "failed_before_work"] == 1
            assert worker["missed", "daemon_down"] >= 16
            assert sum(worker.values()) in (19, 20)
            assert executive.keys() == {("missed", "schedule_stopped")}
            # The schedule is started again, and the daemon owes it its newest tick.
            put_schedule(instance, name=EXECUTIVE, is_on=True, started=now - timedelta(hours=2))
            wait_for("alert of the failed runs", lambda: states(settings, "failed_run", WORKER), log)
            for kind, subject in (("failed_run", WORKER), ("missed_run", WORKER), ("missed_run", EXECUTIVE)):
                ended = partial(is_over, settings, kind, subject)
                wait_for(f"end of {kind} {subject}", ended, log)

            # The watching did not look for two hours, and the daemon is the same: its code did not load.
            def blinded() -> bool:
                if "code_location_not_loadable" in str(episodes(settings)):
                    return True
                document = json.loads(cursor_of(instance, NAME) or "")
                memory = load(document["memory"])
                if memory and memory.look and time.time() - memory.look.at.timestamp() < 60:
                    look = replace(memory.look, at=memory.look.at - timedelta(hours=2))
                    document["memory"] = dump(replace(memory, look=look))
                    put_cursor(instance, NAME, json.dumps(document))
                    time.sleep(SECONDS)
                return False

            wait_for("alert of the code location", blinded, log)
            wait_for(
                "end of every alert",
                lambda: {state for many in episodes(settings).values() for state, _ in many} == {"resolved"},
                log,
            )

    found = episodes(settings)
    assert {kind: [cause for _, cause in many] for (kind, _), many in found.items()}.keys() >= {
        "daemon_down", "code_location_down", "instigator_off", "missed_run", "failed_run",
    }  # fmt: skip
    assert {key: len(many) for key, many in found.items() if len(many) != 1} == {}
    slots = query(settings, "SELECT count(*), count(DISTINCT (schedule, expected_at)) FROM schedule_slots")
    assert slots[0][0] == slots[0][1]
    assert "Traceback" not in log.read_text()
