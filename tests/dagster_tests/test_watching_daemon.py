"""The watching with the real daemon: ten hours away, a stopped schedule, a held warehouse, a failed run, broken code.

Only that the watching looked ten hours ago is made up. Daemon, sensors, schedules, runs, failures, the code that does
not load, the ledger and the alerts are real.
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
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.jobs import LOCATION_TAG
from cavra_pipeline.resources import RESOURCE_KEY
from cavra_pipeline.sensors.slots import NAME, build_missed_worker_run_sensor
from cavra_pipeline.settings import Settings
from cavra_pipeline.slots.watcher import WatcherState
from tests.dagster_tests.runs import QUIET
from tests.dagster_tests.test_daemon import default_signals, environment
from tests.dagster_tests.test_watching import origin, put_schedule
from tests.support import REPOSITORY, home_with, query_state

pytestmark = pytest.mark.slow

WORKER, EXECUTIVE, AUDIT = "recovery_retry_worker", "executive_delivery_retry", "audit_delivery_retry"
#: Due once a day, so that the hour of the test decides whether one was missed.
DAILY = ("daily_close", "morning_report")
SECONDS = 5


@contextmanager
def daemon(settings: Settings, log: Path, *, folder: Path = REPOSITORY, **environ: str) -> Iterator[None]:
    """The real daemon alone, working in a folder; whatever is left of it at the end is killed."""
    with log.open("ab") as output:
        started = subprocess.Popen(
            default_signals(
                str(Path(sys.executable).with_name("dagster-daemon")), "run", "-m", "cavra_pipeline.definitions"
            ),
            cwd=folder,
            env={
                **environment(settings),
                "CAVRA_WATCH_SECONDS": str(SECONDS),
                "CAVRA_BUSY_WAIT_SECONDS": "20",
                **environ,
            },
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
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
    slot_tags = {"dagster/schedule_name": WORKER, ".dagster/scheduled_execution_time": slot.isoformat()}
    tags = {**slot_tags, LOCATION_TAG: "cavra_pipeline.definitions"}
    job = build_defs(settings).resolve_job_def(WORKER)
    done = job.execute_in_process(
        instance=instance, tags=tags, partition_key=slot.date().isoformat(), raise_on_error=False,
        run_config={**QUIET, **config},
    )  # fmt: skip
    return done.success


def causes(settings: Settings, schedule: str) -> dict[tuple[str, str | None], int]:
    asked = f"SELECT verdict, cause, count(*) FROM schedule_slots WHERE schedule = '{schedule}' GROUP BY 1, 2"
    return {(verdict, cause): count for verdict, cause, count in query_state(settings, asked)}


def episodes(settings: Settings) -> dict[tuple[str, str], list[tuple[str, str]]]:
    """Every alert there has been: state and first cause of each of its episodes."""
    found: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for kind, subject, state, cause in query_state(
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
        put_schedule(instance, name=AUDIT, is_on=True, started=away_since - timedelta(days=1))
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
            assert not run_of_slot(settings.but(busy_wait_seconds=0.2), instance, busy)
        broken = {"resources": {RESOURCE_KEY: {"config": {"path": str(settings.home), "memory_limit": "much"}}}}
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

            # A daily run that was due while the daemon was down is missed until it runs.
            wait_for(
                "end of every alert",
                lambda: (
                    {
                        state
                        for (_, subject), many in episodes(settings).items()
                        if subject not in DAILY
                        for state, _ in many
                    }
                    == {"resolved"}
                ),
                log,
            )

    found = episodes(settings)
    assert {kind: [cause for _, cause in many] for (kind, _), many in found.items()}.keys() >= {
        "daemon_down", "instigator_off", "missed_run", "failed_run",
    }  # fmt: skip
    assert {key: len(many) for key, many in found.items() if len(many) != 1} == {}
    assert "Traceback" not in log.read_text()


@pytest.mark.timeout(600)
def test_slots_that_pass_while_the_code_does_not_load_are_missed_for_that_reason_and_it_is_told_once(
    tmp_path: Path,
) -> None:
    log, deployed = tmp_path / "daemon.log", tmp_path / "deployed"
    deployed.mkdir()
    settings = home_with(tmp_path, is_new=True, start_date=datetime.now(UTC).date())
    every_minute = {"CAVRA_CRON_RECOVERY_RETRY_WORKER": "* * * * *", "CAVRA_SLOT_GRACE_MINUTES": "0.5"}
    with dg.DagsterInstance.from_config(str(settings.dagster_home)) as instance:
        put_schedule(instance, is_on=True, started=datetime.now(UTC))

        def last_look() -> datetime | None:
            memory = WatcherState.of(json.loads(cursor_of(instance, NAME) or "{}").get("memory"))
            return memory.look.at if memory and memory.look else None

        with daemon(settings, log, folder=deployed, **every_minute):
            wait_for("first look", last_look, log)
            # A deployment that goes wrong: a module in the working directory comes before the package of that name.
            broken = deployed / "cavra_pipeline.py"
            broken.write_text("raise RuntimeError('broken on purpose')")
            broken_at = datetime.now(UTC)
            wait_for(
                "pause of three minutes in the looks",
                lambda: (look := last_look()) and datetime.now(UTC) - look > timedelta(minutes=3),
                log,
                seconds=330,
            )
            away_from = last_look()
            assert away_from is not None
            assert not {"code_location_down", "daemon_down"} & {kind for kind, _ in episodes(settings)}
            mended_at = datetime.now(UTC)
            broken.unlink()
            wait_for("alert", lambda: states(settings, "code_location_down", "code location"), log, seconds=150)
            wait_for("its end", partial(is_over, settings, "code_location_down", "code location"), log, seconds=150)

    assert "broken on purpose" in log.read_text()
    assert away_from > broken_at - timedelta(seconds=60)
    slots = query_state(settings, "SELECT expected_at, verdict, cause FROM schedule_slots")
    in_the_pause = [tuple(what) for at, *what in slots if away_from < datetime.fromisoformat(at) < mended_at]
    assert set(in_the_pause) == {("missed", "code_location_not_loadable")}
    assert len(in_the_pause) >= 2
    # A run that was on its way as the code broke fails by itself; nothing else is put down to another cause.
    assert {cause for _, _, cause in slots} <= {None, "code_location_not_loadable", "failed_before_work"}
    assert "daemon_down" not in {kind for kind, _ in episodes(settings)}
