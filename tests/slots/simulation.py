"""Thirty made-up days of a Dagster instance: what its daemon would do while things break, and what is true of slots.

The world decides by itself what became of a slot and why. The watcher sees only what Dagster would have kept, as far
as it had happened by the time of the observation.
"""

from __future__ import annotations

import random
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from cavra_pipeline.sensors.dagster_records import instants_around
from cavra_pipeline.settings import DEFAULT_TOLERANCE
from cavra_pipeline.slots.observations import WatcherObservation
from cavra_pipeline.slots.verdicts import Configuration, ScheduledRun, Tick, Verdict
from cavra_pipeline.slots.watcher import Records, WatcherState, watch

DAYS: Final = 30
#: The watcher looks a little more often than its longest pause; the real one looks ten times as often.
LOOKS_EVERY: Final = timedelta(seconds=270)
CAUSES: Final = (
    "daemon_down", "code_location_not_loadable", "schedule_stopped", "queued_too_long", "warehouse_busy",
    "failed_before_work", "unknown_cause",
)  # fmt: skip
MINUTE: Final = timedelta(minutes=1)


@dataclass(frozen=True)
class Trouble:
    """One injected cause and how long it lasts."""

    cause: str
    start: datetime
    end: datetime
    schedule: str
    #: A code location that is mended may come with a restart of the daemon; a queued run may be cancelled.
    has_twist: bool

    def covers(self, at: datetime, schedule: str) -> bool:
        return self.start <= at < self.end and self.schedule in ("", schedule)


@dataclass
class Truth:
    """What became of one slot."""

    kind: str
    cause: str | None = None
    tick: Tick | None = None
    run: ScheduledRun | None = None
    run_created_at: datetime | None = None


@dataclass
class World:
    """A seeded month of some schedules in one time zone."""

    seed: int
    time_zone: str
    start: datetime
    crons: dict[str, str]
    slots: dict[str, list[datetime]] = field(default_factory=dict)
    truth: dict[tuple[str, datetime], Truth] = field(default_factory=dict)
    troubles: list[Trouble] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.end = self.start + timedelta(days=DAYS)
        chance = random.Random(f"{self.seed} {self.time_zone} {self.start}")
        self.troubles = list(self._troubles(chance))
        for name, cron in self.crons.items():
            self.slots[name] = instants_around(cron, self.time_zone, after=self.start, until=self.end)
            for before, at, after in zip(self.slots[name], self.slots[name][1:], self.slots[name][2:], strict=False):
                self.truth[name, at] = self._live(name, before, at, after, chance)

    def _troubles(self, chance: random.Random) -> Iterator[Trouble]:
        at = self.start + timedelta(hours=3)
        while True:
            at += timedelta(minutes=chance.uniform(60, 30 * 60))
            cause = chance.choice(CAUSES)
            length = timedelta(minutes=2 ** chance.uniform(4, 9.5))
            if at + length > self.end - timedelta(days=2):
                return
            schedule = chance.choice(list(self.crons)) if cause == "schedule_stopped" else ""
            yield Trouble(cause, at, at + length, schedule, chance.random() < 0.1)
            at += length

    def _trouble(self, at: datetime, schedule: str, *causes: str) -> Trouble | None:
        return next((one for one in self.troubles if one.cause in causes and one.covers(at, schedule)), None)

    def _live(self, name: str, before: datetime, at: datetime, after: datetime, chance: random.Random) -> Truth:
        ticks_at = at + timedelta(seconds=chance.uniform(0, 8))
        if self._trouble(at, name, "unknown_cause"):
            return Truth("missed", "unknown_cause")
        blocked = self._trouble(ticks_at, name, *CAUSES[:3])
        if blocked:
            back_at = blocked.end + timedelta(seconds=chance.uniform(1, 20))
            # Dagster makes up for the newest missed tick only, and for none from before a schedule was started.
            if blocked.cause == "schedule_stopped" or back_at >= after:
                return Truth("missed", blocked.cause)
            ticks_at = back_at
        tick = Tick("success", ticks_at)
        started_at = ticks_at + timedelta(seconds=chance.uniform(3, 15))
        run = ScheduledRun(f"{name} {at.isoformat()}")
        queued = self._trouble(started_at, name, "queued_too_long")
        if queued:
            started_at = queued.end
            if queued.has_twist:
                run = replace(run, ended_at=queued.end)
                late = queued.end > closing(at, after)
                return Truth("missed", "queued_too_long" if late else "failed_before_work", tick, run, ticks_at)
        run = replace(run, started_at=started_at)
        failing = self._trouble(started_at, name, "warehouse_busy", "failed_before_work")
        if failing:
            is_busy = failing.cause == "warehouse_busy"
            ended_at = started_at + timedelta(seconds=120 if is_busy else 20)
            run = replace(run, ended_at=ended_at, is_busy_failure=is_busy)
            return Truth("missed", failing.cause, tick, run, ticks_at)
        takes = chance.uniform(600, 2400) if chance.random() < 0.01 else chance.uniform(4, 60)
        worked_at = started_at + timedelta(seconds=takes)
        run = replace(run, worked_at=worked_at, ended_at=worked_at + timedelta(seconds=2))
        return Truth("on_time" if worked_at <= closing(at, after) else "late", None, tick, run, ticks_at)

    # --- What the watcher can see ----------------------------------------------------------------------------------

    def observations(self) -> Iterator[WatcherObservation]:
        """Every observation there can be: none while the daemon is down or the code location does not load."""
        daemon, at = 0, self.start
        restarts = [
            one.end for one in self.troubles
            if one.cause == "daemon_down" or (one.cause == "code_location_not_loadable" and one.has_twist)
        ]  # fmt: skip
        while at <= self.end:
            blind = self._trouble(at, "", "daemon_down", "code_location_not_loadable")
            if blind:
                at = blind.end + timedelta(seconds=5)
                continue
            daemon = bisect_right(restarts, at)
            off = [one for one in self.troubles if one.cause == "schedule_stopped"]
            yield WatcherObservation(
                at,
                f"daemon {daemon}",
                frozenset(one.schedule for one in off if one.start <= at < one.end),
                {one.schedule: one.end for one in off if one.end <= at},
            )
            at += LOOKS_EVERY

    def calendar(self, one: Configuration, after: datetime, until: datetime, most: int | None) -> Sequence[datetime]:
        known = self.slots[one.schedule]
        first, last = bisect_right(known, after) - 1, bisect_right(known, until) + 1
        return known[max(first, 0) : min(last, first + most + 2) if most else last]

    def records(self, name: str, since: datetime, now: datetime) -> Records:
        known = self.slots[name]
        ticks: dict[datetime, list[Tick]] = {}
        runs: list[tuple[datetime, ScheduledRun]] = []
        for at in known[bisect_left(known, since) : bisect_right(known, now)]:
            truth = self.truth.get((name, at))
            if truth and truth.tick and truth.tick.ended_at <= now:
                ticks[at] = [truth.tick]
            if truth and truth.run and truth.run_created_at and truth.run_created_at <= now:
                runs.append((at, as_seen(truth.run, now)))
        return Records(ticks, runs)

    def watched(self) -> dict[tuple[str, datetime], Verdict]:
        """The ledger at the end of the month."""
        verdicts: dict[tuple[str, datetime], Verdict] = {}
        memory = WatcherState()
        for observation in self.observations():
            configurations = [
                Configuration(name, observation.at, cron, self.time_zone, True, DEFAULT_TOLERANCE)
                for name, cron in self.crons.items()
            ]

            def seen_at(name: str, since: datetime, now: datetime = observation.at) -> Records:
                return self.records(name, since, now)

            seen = watch(memory, observation, configurations, calendar=self.calendar, records=seen_at)
            for one in seen.judged:
                verdicts[one.slot.schedule, one.slot.expected_at] = one.verdict
            memory = seen.stored_state()
        return verdicts


def closing(at: datetime, after: datetime) -> datetime:
    """Grace as the issue says it: the longer of 5 minutes and a fifth of the gap."""
    return at + max(5 * MINUTE, (after - at) / 5)


def as_seen(run: ScheduledRun, now: datetime) -> ScheduledRun:
    """A run as far as it had come."""
    if run.ended_at and run.ended_at <= now:
        return run

    def past(at: datetime | None) -> datetime | None:
        return at if at and at <= now else None

    return replace(
        run,
        started_at=past(run.started_at),
        ended_at=past(run.ended_at),
        worked_at=past(run.worked_at),
        is_busy_failure=run.is_busy_failure and past(run.ended_at) is not None,
    )


def month_with(night: datetime) -> datetime:
    """The start of thirty days with a night in the middle of them."""
    return (night - timedelta(days=DAYS // 2)).astimezone(UTC)
