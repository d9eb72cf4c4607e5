"""Simulated days of a home's operations, and the loss of its warehouse file at chosen moments of them.

The clock is moved from one act to the next; every act calls what a schedule, a sensor or an operator calls. The home,
its warehouse, its state database and the receiver on the loopback are real.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

from cavra_pipeline.alerts.leaks import open_leaks
from cavra_pipeline.alerts.operators import acknowledge_alert, list_alerts, silence_alerts
from cavra_pipeline.alerts.signals import Observation, Signal
from cavra_pipeline.alerts.watch import watch_pass
from cavra_pipeline.errors import TransientError
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.executive.publish import report_announcement, report_run_id
from cavra_pipeline.executive.report import executive_reports
from cavra_pipeline.lanes import LANES, Lane
from cavra_pipeline.reports.policy import retry_policy
from cavra_pipeline.reports.store import days_to_remake, save_every_report
from cavra_pipeline.retention.prune import prune
from cavra_pipeline.retry.acknowledge import acknowledge
from cavra_pipeline.retry.first_delivery import first_delivery
from cavra_pipeline.retry.sender import open_sender
from cavra_pipeline.retry.worker import WorkerRequest, run_worker
from cavra_pipeline.sensors.dagster_records import instants_around
from cavra_pipeline.settings import Settings
from cavra_pipeline.slots import ledger
from cavra_pipeline.slots.observations import WatcherObservation
from cavra_pipeline.slots.problems import KINDS as SLOT_KINDS
from cavra_pipeline.slots.problems import signals_of
from cavra_pipeline.slots.verdicts import Configuration
from cavra_pipeline.slots.watcher import Records, WatcherState, watch
from cavra_pipeline.state import state_of
from cavra_pipeline.warehouse import Session
from tests.connectors.receiver import Answer, Received, Receiver, answer
from tests.evidence.secrets_made_up import SECRETS
from tests.support import Record, delivery, drop, query, take_in
from tests.worker.support import SIGNING, Clock

START: Final = datetime(2025, 7, 1, tzinfo=UTC)
RETENTION_DAYS: Final = 40
#: Kinds of moments at which the file is lost: after an act, while a request is open, after a statement on the file.
MOMENTS: Final = ("act", "request", "statement")
HARMS: Final = ("delete", "overwrite", "overwrite a part", "truncate")
_POLICY: Final[dict[str, Any]] = {"allow_immediate_retry": True, "max_retry_attempts": 4}
#: The schedules that are watched: the lane of each, and when it is due. On Sundays the other lanes' workers run.
_WATCHED: Final = {
    LANES["recovery_escalation"].schedule: ("recovery_escalation", "30 2 * * 1,3,5"),
    LANES["executive_report"].schedule: ("executive_report", "30 2 * * 2,4,6"),
}
#: An act that the loss interrupts is repeated, as Dagster's next tick or a person would.
_MOST_REPEATS: Final = 4


@dataclass
class Losses:
    """Moments at which the file is lost: (day, kind of moment, how many of that kind in the day come before).

    A moment that the day does not have is at its end.
    """

    planned: dict[int, list[tuple[str, int]]]
    chance: random.Random
    settings: Settings | None = None
    day: int = 0
    seen: Counter[str] = field(default_factory=Counter)
    done: Counter[tuple[str, str]] = field(default_factory=Counter)

    @classmethod
    def planned_for(cls, days: int, count: int, seed: int) -> Losses:
        """Losses at random moments of so many days."""
        chance, planned = random.Random(seed), dict[int, list[tuple[str, int]]]()
        for _ in range(count):
            moment = chance.choice(MOMENTS)
            number = chance.randrange({"act": 3, "request": 2, "statement": 200}[moment])
            planned.setdefault(chance.randrange(days), []).append((moment, number))
        return cls(planned, chance)

    def passes(self, moment: str) -> None:
        """Loses the file if this is one of the moments."""
        here = (moment, self.seen[moment])
        self.seen[moment] += 1
        for _ in range(self.planned.get(self.day, []).count(here)):
            self._lose(moment)
        if here in self.planned.get(self.day, []):
            self.planned[self.day] = [one for one in self.planned[self.day] if one != here]

    def end_day(self) -> None:
        """Loses the file for each moment that the day did not have."""
        for moment, _ in self.planned.pop(self.day, []):
            self._lose(moment)
        self.day += 1
        self.seen.clear()

    def _lose(self, moment: str) -> None:
        assert self.settings
        path, harm = self.settings.warehouse, self.chance.choice(HARMS)
        self.done[moment, harm] += 1
        if not path.exists():
            return
        size = path.stat().st_size
        if harm == "delete":
            path.unlink()
        elif harm == "overwrite":
            path.write_bytes(self.chance.randbytes(size))
        elif harm == "truncate":
            with path.open("r+b") as file:
                file.truncate(self.chance.randrange(size) if size else 0)
        else:
            with path.open("r+b") as file:
                file.seek(self.chance.randrange(max(1, size)))
                file.write(self.chance.randbytes(65_536))


class Provider(Receiver):
    """Is down on some days, and in the morning for some messages; otherwise takes everything. Decides by the clock."""

    def __init__(self, clock: Clock, losses: Losses) -> None:
        """Listens; the clock is that of the year."""
        super().__init__()
        self.clock, self.losses = clock, losses

    def take(self, received: Received) -> Answer:
        """Answers, after the loss of the file if this is the moment of one."""
        super().take(received)
        self.losses.passes("request")
        at = self.clock()
        is_down = (at - START).days % 17 in (3, 4)
        is_slow_to_wake = at.hour < 12 and len(received.body) % 3 == 0
        return answer(503 if is_down or is_slow_to_wake else 200)


@dataclass
class Year:
    """Operations of one home, day by day.

    Attributes:
        settings: The home.
        clock: The clock of the year.
        losses: When the warehouse is lost.
        repeats: Types of errors for which an act was repeated.
        interrupted: Lanes of which a worker run was cut short, and repeated.
    """

    settings: Settings
    clock: Clock
    losses: Losses
    repeats: Counter[str] = field(default_factory=Counter)
    interrupted: set[str] = field(default_factory=set)
    watcher: WatcherState = field(default_factory=WatcherState)

    def live(self, days: int) -> None:
        """Lives through so many days, each act at its hour."""
        self.losses.settings = self.settings
        for number in range(days):
            for hour, act in self._acts(number):
                self.clock.at = START + timedelta(days=number, hours=hour)
                self._do(act)
                self.losses.passes("act")
            self.losses.end_day()

    def _do(self, act: Callable[[], object]) -> None:
        for _ in range(_MOST_REPEATS):
            try:
                act()
            except TransientError as error:
                self.repeats[type(error).__name__] += 1
            else:
                return
        act()

    def _acts(self, number: int) -> Iterator[tuple[float, Callable[[], object]]]:
        at = START + timedelta(days=number)
        weekday, names = at.weekday(), list(LANES)
        drop(self.settings, evidence_of(number), day=at.date().isoformat())
        if number % 10 == 4:
            late = (at - timedelta(days=2)).date()
            drop(self.settings, late_evidence(number), day=late.isoformat(), name=f"late-{number}.jsonl")
            yield 1.5, lambda: take_in(self.settings, now=self.clock())
        if number % 4 == 1 and failing_lane(number - 1).acknowledgement_kind:
            yield 2, lambda: self.acknowledge_delivery(number - 1)
        for name in names[2:] if weekday == 6 else [names[weekday % 2]]:
            if number % 9 != 8:  # on some days the schedule does not run
                yield 2.5, partial(self.work, name, f"run-{name}-{number}")
        yield 10, self.watch_slots
        if number % 2:
            yield 11, self.watch_boundary
        if weekday == 4:
            yield 12, self.publish
        if number % 10 == 6:
            yield 13, self.silence
        if number % 4 == 3:
            yield 14, self.answer_alerts
        if weekday == 6:
            yield 22, self.watch_slots
            yield 23, self.save_reports
        if number % 15 == 14:
            yield 23.8, self.prune

    def work(self, lane: str, run_id: str) -> None:
        """One live run of a lane's worker."""
        request = WorkerRequest(LANES[lane], retry_policy(LANES[lane], _POLICY), is_live=True, max_retry_deliveries=5)
        sender = open_sender(self.settings, clock=self.clock, environ={"SIGNING": SIGNING})
        try:
            run_worker(self.settings, request, sender, clock=self.clock, run_id=run_id)
        except TransientError:
            self.interrupted.add(lane)
            raise

    def acknowledge_delivery(self, number: int) -> None:
        """An operator lets the retries of a day's failed delivery go ahead."""
        lane = failing_lane(number)
        acknowledge(
            self.settings, lane, subject=f"{lane.name}-{number}", provider="webhook", state="acknowledged",
            by="on-call", now=self.clock(),
        )  # fmt: skip

    def watch_slots(self) -> None:
        """One observation of the schedules: their runs are known from worker-run evidence only."""
        observation = WatcherObservation(self.clock(), "daemon")
        configurations = [
            Configuration(name, observation.at, cron, "UTC", is_declared_on=True, tolerance=self.settings.tolerance)
            for name, (_, cron) in _WATCHED.items()
        ]
        with warehouse_of(self.settings).reading() as session:
            seen = watch(
                self.watcher, observation, configurations, calendar=calendar, pause=timedelta(days=2),
                records=lambda name, since: work_of(session, name, since, observation.at),
            )  # fmt: skip
        with state_of(self.settings).writing() as c:
            for one in seen.configurations:
                ledger.keep_configuration(c, one)
            ledger.keep_verdicts(c, seen.judged, now=observation.at)
        watch_pass(self.settings, Observation(SLOT_KINDS, list(signals_of(seen.memory))), clock=self.clock)
        self.watcher = seen.stored_state()

    def watch_boundary(self) -> None:
        """One look at what was quarantined in the last week, and at secrets that nobody has handled."""
        since = (self.clock() - timedelta(days=7)).date()
        counted = "SELECT drop_day, count(*) FROM quarantine WHERE drop_day >= DATE '{}' GROUP BY 1 ORDER BY 1"
        signals = [
            Signal("quarantine", day.isoformat(), "critical", START, None, count)
            for day, count in query(self.settings, counted.format(since))
        ]
        with state_of(self.settings).reading() as c:
            signals += [
                Signal(
                    "secret_finding", one.drop_day.isoformat(), "critical", one.found_at, None, one.count,
                    {"drop_day": one.drop_day.isoformat(), "newest_leak": one.newest},
                )
                for one in open_leaks(c)
            ]  # fmt: skip
        watch_pass(self.settings, Observation(["quarantine", "secret_finding"], signals), clock=self.clock)

    def publish(self) -> None:
        """Sends the executive report of a week, after an ingest, as its schedule does."""
        take_in(self.settings, now=self.clock())
        with warehouse_of(self.settings).reading() as session:
            (report,) = executive_reports(
                session, instants=[self.clock()], now=self.clock(), providers=["webhook"]
            )  # fmt: skip
        announcement = report_announcement(report, run_id=report_run_id(report), made_at=self.clock())
        sender = open_sender(self.settings, clock=self.clock, environ={"SIGNING": SIGNING})
        with first_delivery(
            self.settings, sender, announcement, providers=["webhook"], is_live=True, clock=self.clock,
            run_id=f"publish-{self.clock():%Y%m%d}",
        ):  # fmt: skip
            pass

    def silence(self) -> None:
        """An operator silences a kind of alerts for two days."""
        now = self.clock()
        if not list_open(self.settings, now, "silences"):
            silence_alerts(
                self.settings, kind="missed_run", subject=None, by="on-call", comment="maintenance",
                starts_at=now, ends_at=now + timedelta(days=2), now=now,
            )  # fmt: skip

    def answer_alerts(self) -> None:
        """An operator acknowledges the open alerts, and ends those that only a person ends."""
        for alert in list_open(self.settings, self.clock(), "alerts"):
            by_hand = alert["ends_by_hand"]
            acknowledge_alert(
                self.settings, alert["alert_id"], by="on-call", now=self.clock(), is_resolved=by_hand
            )  # fmt: skip

    def save_reports(self) -> None:
        """Makes and saves every report of the week's days, and those that late evidence has outdated."""
        week = [(self.clock() - timedelta(days=back)).date() for back in range(7)]
        warehouse, state = warehouse_of(self.settings), state_of(self.settings)
        days = sorted({*week, *days_to_remake(state)})
        for _ in save_every_report(warehouse, state, [day for day in days if day >= START.date()], now=self.clock()):
            pass

    def prune(self) -> None:
        """Removes evidence past its retention."""
        horizon = (self.clock() - timedelta(days=RETENTION_DAYS)).date()
        prune(warehouse_of(self.settings), state_of(self.settings), horizon, now=self.clock())


def list_open(settings: Settings, now: datetime, what: str) -> list[dict[str, Any]]:
    """The open alerts, or the silences that hold."""
    with state_of(settings).reading() as c:
        found: list[dict[str, Any]] = list_alerts(c, settings, now=now)[what]
        return found


def calendar(one: Configuration, after: datetime, until: datetime, most: int | None) -> list[datetime]:
    """A schedule's instants, by Dagster's own evaluator."""
    return instants_around(one.cron, one.time_zone, after=after, until=until, most=most)


def work_of(session: Session, schedule: str, since: datetime, until: datetime) -> Records:
    """What worker-run evidence says of a schedule."""
    return Records(work=ledger.worker_evidence(session, _WATCHED[schedule][0], after=since, until=until))


def failing_lane(number: int) -> Lane:
    """The lane whose delivery of a day fails: each in its turn."""
    return list(LANES.values())[number % len(LANES)]


def evidence_of(number: int) -> Iterable[Record | str]:
    """A day's evidence: a delivery that failed, good ones; now and then a new version, a spoiled line, a secret."""
    at, failing = START + timedelta(days=number, minutes=20), failing_lane(number).name
    failed = ["webhook", "pager"] if number % 6 == 5 else ["webhook"]
    yield delivery(at, lane=failing, subject=f"{failing}-{number}", failed=failed, session_id=f"failed-{number}")
    for name in LANES:
        yield delivery(at, lane=name, subject=f"good-{number}", session_id=f"good-{name}-{number}")
    if number % 8 == 7:
        first = next(iter(LANES))
        before = f"good-{first}-{number - 3}"
        yield delivery(
            at - timedelta(days=3), lane=first, subject=f"good-{number - 3}", session_id=before, attempt_count=2
        )
    if number % 11 == 3:
        yield "{no json"
    if number % 13 == 5:
        _, secret = list(SECRETS.values())[number % len(SECRETS)]
        yield delivery(at, subject=f"leaky-{number}", session_id=f"leaky-{number}", note=secret)


def late_evidence(number: int) -> Iterable[Record]:
    """Evidence of two days ago that comes now, and a newer version of what came then."""
    at = START + timedelta(days=number - 2, hours=5)
    name = list(LANES)[(number - 2) % len(LANES)]
    yield delivery(at, lane=name, subject=f"late-{number}", failed=["webhook"], session_id=f"late-{number}")
    yield delivery(at, lane=name, subject=f"{name}-{number - 2}", session_id=f"failed-{number - 2}")
