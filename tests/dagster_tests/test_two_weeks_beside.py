"""Two weeks on the instance of a team with twenty jobs of its own: after each look the alerts are those that are true.

Both sides fail, stop and queue at random: theirs often, ours now and then. Runs, events, states, sensors and alerts are
real; the hours are simulated.
"""

from __future__ import annotations

import random
import uuid
from collections import Counter
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.remote_origin import RemoteRepositoryOrigin
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus

from cavra_pipeline.jobs import LOCATION_TAG
from cavra_pipeline.schedules import SCHEDULES
from cavra_pipeline.sensors.failed_runs import failed_run_sensor
from cavra_pipeline.sensors.instigators import disabled_schedule_sensor
from cavra_pipeline.sensors.watchers import LONGEST_WAIT, watcher_sensor
from tests.dagster_tests.runs import new_home
from tests.dagster_tests.test_neighbours import OURS, THEIRS, Status, Watch, code_of, fail, put_run, put_state
from tests.dagster_tests.test_watching import MINUTE, NOW
from tests.support import query_state

SCHEDULE_NAMES = [name for name, *_ in SCHEDULES]
#: Of the same names as all of ours, and others.
THEIR_JOBS = [*SCHEDULE_NAMES, *(f"nightly_{number}" for number in range(20 - len(SCHEDULES)))]
LOOKS = 14 * 12
BETWEEN = timedelta(hours=2)


class Weeks:
    """What both sides do between two looks, and which alerts are true then."""

    def __init__(self, instance: dg.DagsterInstance, chance: random.Random) -> None:
        self.instance, self.chance, self.now = instance, chance, NOW
        self.wrong: set[tuple[str, str]] = set()
        self.began: Counter[tuple[str, str]] = Counter()
        self.waiting: dg.DagsterRun | None = None
        self.known: set[tuple[str, str]] = set()

    def pass_by(self) -> None:
        self.now += BETWEEN
        for job in THEIR_JOBS:
            self._theirs(job)
        self._ours_fail(self.chance.choice(SCHEDULE_NAMES))
        self._ours_stops(self.chance.choice(SCHEDULE_NAMES))
        self._ours_waits()

    def _theirs(self, job: str) -> None:
        what = self.chance.random()
        if what < 0.08:
            fail(self.instance, job, location=THEIRS)
        elif what < 0.16:
            put_run(self.instance, job, Status.SUCCESS, location=THEIRS)
        elif what < 0.18:
            self._queue(job, THEIRS)
        elif what < 0.22:
            self._switch(THEIRS, job, self.chance.choice((InstigatorStatus.RUNNING, InstigatorStatus.STOPPED)))

    def _ours_fail(self, job: str) -> None:
        alert = ("failed_run", job)
        if alert in self.wrong and self.chance.random() < 0.5:
            put_run(self.instance, job, Status.SUCCESS, location=OURS)
            self.wrong.discard(alert)
        elif self.chance.random() < 0.1:
            fail(self.instance, job, location=OURS)
            self._is_wrong(alert)

    def _ours_stops(self, schedule: str) -> None:
        alert = ("instigator_off", schedule)
        if alert in self.wrong and self.chance.random() < 0.5:
            self._switch(OURS, schedule, InstigatorStatus.RUNNING)
            self.wrong.discard(alert)
        elif self.chance.random() < 0.1:
            self._switch(OURS, schedule, InstigatorStatus.STOPPED)
            self._is_wrong(alert)

    def _ours_waits(self) -> None:
        alert = ("run_backlog", "run queue")
        if self.waiting and self.chance.random() < 0.5:
            self.instance.report_run_canceled(self.waiting)
            self.waiting = None
            self.wrong.discard(alert)
        elif not self.waiting and self.chance.random() < 0.1:
            self.waiting = self._queue("waits", OURS)
            self._is_wrong(alert)

    def _is_wrong(self, alert: tuple[str, str]) -> None:
        self.began[alert] += alert not in self.wrong
        self.wrong.add(alert)

    def _queue(self, job: str, location: str) -> dg.DagsterRun:
        """A run that has waited for too long already."""
        origin = RemoteRepositoryOrigin(code_of(location), "__repository__").get_job_origin(job)
        tags = {LOCATION_TAG: location}
        run = dg.DagsterRun(job, str(uuid.uuid4()), status=Status.QUEUED, tags=tags, remote_job_origin=origin)
        self.instance.run_storage.add_historical_run(run, self.now - LONGEST_WAIT - MINUTE)
        return run

    def _switch(self, location: str, schedule: str, status: InstigatorStatus) -> None:
        if (location, schedule) not in self.known:
            put_state(self.instance, location, schedule, status)
            self.known.add((location, schedule))
            return
        (state,) = [
            one for one in self.instance.all_instigator_state()
            if one.instigator_name == schedule and one.origin.repository_origin.code_location_origin.location_name
            == location
        ]  # fmt: skip
        changed: InstigatorState = state.with_status(status)
        self.instance.update_instigator_state(changed)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_twenty_jobs_of_a_team_raise_no_alert_of_ours_and_hide_none(tmp_path: Path) -> None:
    settings = new_home(tmp_path)
    alerts = "SELECT kind, subject FROM alerts"
    with dg.instance_for_test() as instance:
        weeks = Weeks(instance, random.Random(16))
        watches = [
            Watch(build, settings, instance) for build in (failed_run_sensor, disabled_schedule_sensor, watcher_sensor)
        ]
        for watch in watches:
            watch.tick()
        for look in range(LOOKS):
            weeks.pass_by()
            for watch in watches:
                watch.now = weeks.now
                watch.tick()
            firing = {(kind, subject) for kind, subject in query_state(settings, f"{alerts} WHERE state = 'firing'")}
            assert firing == weeks.wrong, look

        raised = Counter((kind, subject) for kind, subject in query_state(settings, alerts))
        assert raised == weeks.began
        assert {kind for kind, _ in raised} == {"failed_run", "instigator_off", "run_backlog"}
        theirs = dg.RunsFilter(tags={LOCATION_TAG: THEIRS})
        assert instance.get_runs_count(theirs) > 10 * sum(raised.values())
