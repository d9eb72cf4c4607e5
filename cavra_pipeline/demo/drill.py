"""The drill of one lane, played through: notifications, failures, acknowledgements, worker runs, health reports.

One engine for all lanes. It keeps the books a CAVRA deployment would keep, so the counts in its retry plans are what
the evidence up to then really says. It writes through ``records.py`` and reads no clock.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Final

from cavra_pipeline.demo.incidents import PLANTED, Month, Planted
from cavra_pipeline.demo.records import (
    MAX_ATTEMPTS,
    SIGNER,
    Counts,
    DrillAnswer,
    DrillEntry,
    Record,
    Writer,
    success_code,
)
from cavra_pipeline.lanes import CLEARING_STATES, Gate, Lane

EXHAUSTED: Final = 3
MAX_SELECTED: Final = 5
SKIP_EVERY: Final = 9
FAILURE_RATE: Final = 0.04
RETRY_FAILURE_RATE: Final = 0.15
RESOLVED_RATE: Final = 0.995
ACKNOWLEDGED_RATE: Final = 0.4
_WINDOW: Final = timedelta(hours=168)
#: What a connector answers on a bad moment; 503 is left to the incident that is told by it.
_PASSING_FAULTS: Final = (502, 504, 429, None)
_OPERATORS: Final = ("operator-01", "operator-02", "operator-03", "incident-lead")


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How a lane lives.

    Attributes:
        short_name: What its ids carry.
        providers: Connectors its notifications choose from.
        worker_minute: Minute after which its worker's cadence is counted.
        live_every: One worker run in so many is live.
        health_every_hours: How often it writes a health report.
        notices_a_day: How many random notifications go out a day.
    """

    short_name: str
    providers: tuple[str, ...]
    worker_minute: int
    live_every: int
    health_every_hours: int
    notices_a_day: int


@dataclass(frozen=True, slots=True)
class DrillAlert:
    """A health report that people must be told of."""

    at: datetime
    health_id: str
    level: str


@dataclass(slots=True)
class _Pair:
    """What is known of one subject at one connector."""

    subject: str
    provider: str
    about: Mapping[str, object]
    planted: Planted | None
    failures: int = 0
    failed_at: datetime | None = None
    acknowledged: str | None = None
    execution_stands_failed: bool = False


@dataclass(slots=True)
class Drill:
    """One lane over the month.

    Attributes:
        lane: The lane.
        rhythm: How it lives.
        month: The time and its incidents.
        random: The one source of chance.
        start: When the lane went live.
        alerts: Health reports of another lane that this one tells people of.
        raised: Health reports of this lane that are not healthy.
        shown: The plan and the delivery of each planted notification that shows an incident.
    """

    lane: Lane
    rhythm: Rhythm
    month: Month
    random: Random
    start: datetime
    alerts: list[DrillAlert] = field(default_factory=list)
    raised: list[DrillAlert] = field(default_factory=list)
    shown: dict[str, tuple[Record | None, Record]] = field(default_factory=dict)
    _writer: Writer = field(init=False)
    _pairs: dict[tuple[str, str], _Pair] = field(default_factory=dict)
    _open: dict[tuple[str, str], _Pair] = field(default_factory=dict)
    _queue: list[tuple[datetime, int, Callable[[datetime], None]]] = field(default_factory=list)
    _queued: int = 0
    _last_run_at: datetime | None = None
    _failed_executions: list[datetime] = field(default_factory=list)
    _executions: int = 0

    def __post_init__(self) -> None:
        self._writer = Writer(self.lane, self.rhythm.short_name)

    def play(self) -> list[DrillEntry]:
        """Plays the lane through and returns its records of the month, oldest first."""
        self._schedule()
        while self._queue:
            at, _, act = heapq.heappop(self._queue)
            if at > self.month.until:
                break
            act(at)
        kept = [entry for entry in self._writer.entries if self.start <= entry.at <= self.month.until]
        return sorted(kept, key=lambda entry: (entry.at, entry.record["session_id"]))

    def _then(self, at: datetime, act: Callable[[datetime], None]) -> None:
        self._queued += 1
        heapq.heappush(self._queue, (at, self._queued, act))

    # When things happen.

    def _schedule(self) -> None:
        for planted in PLANTED:
            if planted.lane == self.lane.name:
                self._then(planted.at.at(self.month.until), lambda at, planted=planted: self._notify(at, planted))  # type: ignore[misc]
        for at in self._notices():
            self._then(at, self._notify)
        for alert in self.alerts:
            self._then(alert.at + timedelta(minutes=1), lambda at, alert=alert: self._notify(at, alert=alert))  # type: ignore[misc]
        interval = timedelta(minutes=self.lane.expected_interval_minutes)
        for number, at in self._every(interval, timedelta(minutes=self.rhythm.worker_minute)):
            if not self._worker_is_down(at):
                late = timedelta(seconds=self.random.randint(1, 20))
                live = number % self.rhythm.live_every == 0 and not self._live_is_off(at)
                self._then(at + late, lambda at, live=live: self._work(at, live=live))  # type: ignore[misc]
        for _, at in self._every(timedelta(hours=self.rhythm.health_every_hours), timedelta(minutes=45)):
            self._then(at, self._check_health)

    def _every(self, step: timedelta, offset: timedelta) -> Iterator[tuple[int, datetime]]:
        """Yields the slots of a cadence, numbered from midnight of the last day so that they keep their number."""
        origin = self.month.until.replace(hour=0, minute=0, second=0, microsecond=0) + offset
        number = -((origin - self.start) // step)
        while origin + number * step <= self.month.until:
            yield number, origin + number * step
            number += 1

    def _notices(self) -> Iterator[datetime]:
        for _, day in self._every(timedelta(days=1), timedelta(days=-1)):
            for minute in sorted(self.random.sample(range(1440), self.rhythm.notices_a_day)):
                yield day + timedelta(minutes=minute, seconds=self.random.randint(0, 59))
        last = self.month.until.replace(hour=0, minute=0, second=0, microsecond=0)
        for minute in sorted(self.random.sample(range(1440), self.rhythm.notices_a_day)):
            yield last + timedelta(minutes=minute)

    def _worker_is_down(self, at: datetime) -> bool:
        return any(self.month.is_on(name, self.lane.name, at) for name in ("worker_outage", "executive_worker_stopped"))

    def _schedule_is_off(self, at: datetime) -> bool:
        return self.month.is_on("schedule_disabled", self.lane.name, at)

    def _live_is_off(self, at: datetime) -> bool:
        return self._schedule_is_off(at) or self.month.is_on("dry_runs_only", self.lane.name, at)

    # What happens then.

    def _notify(self, at: datetime, planted: Planted | None = None, alert: DrillAlert | None = None) -> None:
        if planted:
            providers = list(planted.providers)
        else:
            providers = self.random.sample(self.rhythm.providers, self.random.choice((2, 3)))
        plan, subject, about = self._announce(at, providers, alert)
        for provider in providers:
            self._pairs[subject, provider] = _Pair(subject, provider, about, planted)
        record = self._deliver(at + timedelta(seconds=5), subject, providers, about)
        if planted and planted.incident:
            self.shown[planted.incident] = (plan, record)
        for provider in providers:
            pair = self._pairs[subject, provider]
            if not pair.failures and self.random.random() < ACKNOWLEDGED_RATE:
                self._acknowledge_soon(pair, at, "acknowledged")

    def _announce(
        self, at: datetime, providers: list[str], alert: DrillAlert | None
    ) -> tuple[Record | None, str, dict[str, object]]:
        """Writes what the notification is about; returns the plan, the subject and what else names it."""
        writer, count = self._writer, self.random.randint(1, 3)
        if self.lane.delivery_alert is not None:
            run_id, report_id = writer.name("report-run"), writer.name("report")
            writer.report(at, run_id, report_id, count - 1)
            return None, run_id, {"executive_report_id": report_id}
        plan_id = writer.name("plan")
        if alert:
            about: dict[str, object] = {"plan_id": plan_id}
            chosen = {"alert_level": alert.level, "selected_providers": providers, "suppressed_providers": []}
            return writer.plan(at, {**about, "health_id": alert.health_id, **chosen}), alert.health_id, about
        plan = writer.plan(
            at,
            {
                "plan_id": plan_id,
                "recovery_report_id": writer.name("recovery"),
                "alert_level": "critical" if count == 3 else "warning",
                "escalation_count": count,
                "slo_breached_count": count // 2,
                "failed_execution_count": 0,
                "selected_providers": providers,
            },
        )
        return plan, plan_id, {}

    def _deliver(
        self,
        at: datetime,
        subject: str,
        providers: list[str],
        about: Mapping[str, object],
        *,
        is_retry: bool = False,
        by_hand: bool = False,
    ) -> Record:
        answers = [
            self._ask(self._pairs[subject, provider], at, is_retry=is_retry, by_hand=by_hand) for provider in providers
        ]
        record = self._writer.delivery(at, subject, answers, about, "release-manager" if by_hand else SIGNER)
        delivered_at = at + timedelta(seconds=2 * len(answers))
        for answer in answers:
            self._note(self._pairs[subject, answer.provider], answer, delivered_at)
        return record

    def _ask(self, pair: _Pair, at: datetime, *, is_retry: bool, by_hand: bool) -> DrillAnswer:
        down = self.month.failing(pair.provider, self.lane.name, at)
        if down and down.incident.status_code:
            code: int | None = down.incident.status_code
        elif pair.planted:
            code = pair.planted.fails.get(pair.provider, success_code(pair.provider))
        elif not by_hand and self.random.random() < (RETRY_FAILURE_RATE if is_retry else FAILURE_RATE):
            code = self.random.choice(_PASSING_FAULTS)
        else:
            return DrillAnswer(pair.provider, success_code(pair.provider))
        is_permanent = code is not None and code < 500 and code != 429
        return DrillAnswer(pair.provider, code, 1 if is_permanent else MAX_ATTEMPTS)

    def _note(self, pair: _Pair, answer: DrillAnswer, at: datetime) -> None:
        if answer.is_success:
            pair.failures, pair.failed_at, pair.execution_stands_failed = 0, None, False
            self._open.pop((pair.subject, pair.provider), None)
            if self.lane.gate is Gate.ACKNOWLEDGEMENT:
                self._resolve_later(pair, at)
            return
        pair.failures, pair.failed_at = pair.failures + 1, at
        self._open[pair.subject, pair.provider] = pair
        if pair.failures == 1 and (self.lane.gate is Gate.ACKNOWLEDGEMENT):
            self._acknowledge_failure(pair, at)
        if pair.failures == EXHAUSTED and not pair.planted:
            self._then(at + timedelta(minutes=self.random.randint(180, 480)), lambda at: self._resend(at, pair))

    def _acknowledge_failure(self, pair: _Pair, at: datetime) -> None:
        said = self.random.choice(("acknowledged", "accepted"))
        told = pair.planted.acknowledged.get(pair.provider, said) if pair.planted else said
        if told:
            self._acknowledge_soon(pair, at, told)

    def _acknowledge_soon(self, pair: _Pair, at: datetime, state: str) -> None:
        if self.lane.delivery_alert is not None:
            return
        by_chance = self.random.choice(_OPERATORS)
        signer = pair.planted.signer if pair.planted and pair.planted.signer and pair.failures else by_chance

        def acknowledge(at: datetime) -> None:
            pair.acknowledged = state
            about = pair.about
            self._writer.acknowledgement(at, pair.subject, pair.provider, state, signer=signer, about=about)

        self._then(at + timedelta(minutes=self.random.randint(5, 35), seconds=7), acknowledge)

    def _resolve_later(self, pair: _Pair, at: datetime) -> None:
        """Most recoveries are finished within the four hours they may take, some later, a few not yet."""
        minutes = self.random.choice((45, 70, 95, 120, 150, 180, 180, 210, 330, 600))
        if self.random.random() >= RESOLVED_RATE:
            return

        def resolve(at: datetime) -> None:
            if not pair.failures and pair.acknowledged != "resolved":
                pair.acknowledged = "resolved"
                signer = self.random.choice(_OPERATORS)
                self._writer.acknowledgement(
                    at, pair.subject, pair.provider, "resolved", signer=signer, about=pair.about
                )

        self._then(at + timedelta(minutes=minutes + self.random.randint(0, 29), seconds=11), resolve)

    def _resend(self, at: datetime, pair: _Pair) -> None:
        """Somebody sends an exhausted delivery by hand, once its connector works again."""
        if not pair.failures:
            return
        down = self.month.failing(pair.provider, self.lane.name, at)
        if not down:
            self._deliver(at, pair.subject, [pair.provider], pair.about, by_hand=True)
        elif down.ended_at:
            later = down.ended_at + timedelta(minutes=self.random.randint(10, 60))
            self._then(later, lambda at: self._resend(at, pair))

    # The worker.

    def _failing(self, at: datetime) -> list[_Pair]:
        """Pairs that fail by the evidence up to then; a delivery under way has left none yet."""
        return [pair for _, pair in sorted(self._open.items()) if pair.failed_at and pair.failed_at <= at]

    def _is_due(self, pair: _Pair, at: datetime) -> bool:
        delay = timedelta(minutes=min(1440, self.lane.retry_delay_minutes * 2 ** (pair.failures - 1)))
        return pair.failed_at is None or pair.failed_at + delay <= at

    def _may_retry(self, pair: _Pair) -> bool:
        return self.lane.gate is not Gate.ACKNOWLEDGEMENT or pair.acknowledged in CLEARING_STATES

    def _work(self, at: datetime, *, live: bool) -> None:
        self._last_run_at = at
        failing = self._failing(at)
        open_ = [pair for pair in failing if pair.failures < EXHAUSTED]
        due = [pair for pair in open_ if self._is_due(pair, at)]
        pending = sum(not self._may_retry(pair) for pair in failing)
        counts = Counts(len(due), len(open_) - len(due), len(failing) - len(open_), pending)
        may_go = [pair for pair in due if self._may_retry(pair)]
        chosen = may_go[:MAX_SELECTED] if live else due[:MAX_SELECTED]
        enabled = not self._schedule_is_off(at)
        plan_id, run_id = self._writer.retry_plan(at, counts), self._writer.name("run")
        after = at + timedelta(seconds=1)
        if live:
            for pair in chosen:
                after = self._retry(after + timedelta(seconds=4), pair, run_id, plan_id)
        selected = len(chosen) if enabled else 0
        self._writer.worker_run(at, run_id, counts, dry_run=not live, selected=selected, enabled=enabled)

    def _retry(self, at: datetime, pair: _Pair, run_id: str, plan_id: str) -> datetime:
        self._executions += 1
        if self._executions % SKIP_EVERY == 0:
            status = "skipped"
        else:
            about = {**pair.about, "retry_plan_id": plan_id, "worker_run_id": run_id}
            self._deliver(at, pair.subject, [pair.provider], about, is_retry=True)
            status = "failed" if pair.failures else "delivered"
        if status != "delivered":
            self._failed_executions.append(at)
            pair.execution_stands_failed = True
        done = at + timedelta(seconds=3)
        self._writer.execution(
            done,
            pair.subject,
            pair.provider,
            status,
            worker_run_id=run_id,
            retry_plan_id=plan_id,
            about=pair.about,
        )
        return done

    # The health report.

    def _check_health(self, at: datetime) -> None:
        failing = self._failing(at)
        reported = failing if (self.lane.delivery_alert is not None) else [p for p in failing if not self._may_retry(p)]
        stands_failed = any(pair.execution_stands_failed for pair in self._open.values())
        late = 2 * timedelta(minutes=self.lane.expected_interval_minutes)
        missed = self._last_run_at is not None and at - self._last_run_at > late
        critical = [missed, stands_failed, (self.lane.delivery_alert is not None) and bool(failing)]
        warnings = [(self.lane.gate is Gate.ACKNOWLEDGEMENT) and bool(reported), self._schedule_is_off(at)]
        level = "critical" if any(critical) else "warning" if any(warnings) else "healthy"
        failed = sum(moment > at - _WINDOW for moment in self._failed_executions)
        health_id = self._writer.health(at, level, sum(critical) + sum(warnings), failed, len(reported))
        if level != "healthy":
            self.raised.append(DrillAlert(at, health_id, level))
