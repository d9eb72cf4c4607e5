"""Months in which people and accidents run the work beside the schedule: extra, manual, duplicate, early and late runs.

The world of ``simulation`` goes on beneath it, with absences of a few minutes besides, and a schedule that comes often
enough to be hit by them. What is true of a slot is decided here, by what was done and when, never by the watcher.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from cavra_pipeline.slots.observations import WatcherObservation
from cavra_pipeline.slots.verdicts import ScheduledRun
from cavra_pipeline.slots.watcher import Records
from tests.slots.simulation import CAUSES, MINUTE, Trouble, Truth, World, as_seen, closing

LOOKS_EVERY = timedelta(minutes=1)
#: Ten percent of the gap before a slot: work of its own run before that is early.
EARLY_PERCENT = 10


@dataclass
class BusyWorld(World):
    """A seeded month with runs that no schedule asked for."""

    manual: dict[str, list[datetime]] = field(default_factory=dict)
    duplicates: dict[tuple[str, datetime], ScheduledRun] = field(default_factory=dict)
    kinds: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        super().__post_init__()
        chance = random.Random(f"busy {self.seed} {self.time_zone} {self.start}")
        for name in self.crons:
            self._early(name, chance)
            self._duplicate(name, chance)
            self.manual[name] = sorted(self._manual(name, chance))
            self._serve(name)
        self.kinds.update(truth.kind for truth in self.truth.values())

    def _troubles(self, chance: random.Random) -> Iterator[Trouble]:
        """The long troubles, and absences of less than five minutes while nothing else is wrong."""
        long = list(super()._troubles(chance))
        yield from long
        for day in range(30):
            morning = datetime.combine(self.start.date() + timedelta(days=day), time(5, 50), ZoneInfo(self.time_zone))
            at = morning.astimezone(UTC)
            for _ in range(4):
                at += timedelta(minutes=chance.uniform(12, 40))
                end = at + timedelta(seconds=chance.uniform(40, 290))
                if all(end + 10 * MINUTE < one.start or at > one.end + 10 * MINUTE for one in long):
                    yield Trouble(chance.choice(("daemon_down", "code_location_not_loadable")), at, end, "", False)

    def _early(self, name: str, chance: random.Random) -> None:
        """The clock of the machine that runs the work is wrong now and then: its work is done before the slot opens."""
        for before, at in pairwise(self.slots[name]):
            truth = self.truth.get((name, at))
            if truth is None or truth.kind != "on_time" or truth.run is None or chance.random() > 0.01:
                continue
            opens_at = at - (at - before) * EARLY_PERCENT / 100
            worked_at = opens_at - timedelta(seconds=chance.uniform(1, 50))
            run = replace(truth.run, started_at=worked_at - timedelta(seconds=5), worked_at=worked_at)
            self.truth[name, at] = Truth(
                "early", None, truth.tick, replace(run, ended_at=worked_at), truth.run_created_at
            )

    def _duplicate(self, name: str, chance: random.Random) -> None:
        """A second daemon, or a re-execution: a run for a slot that has one, minutes or most of a gap later."""
        for at, after in pairwise(self.slots[name][1:]):
            truth = self.truth.get((name, at))
            # The second run of a slot whose own was early would be on time.
            if truth is None or truth.run is None or truth.kind not in ("on_time", "late") or chance.random() > 0.08:
                continue
            started_at = (truth.run.worked_at or at) + (after - at) * chance.uniform(0.05, 0.95)
            worked_at = started_at + timedelta(seconds=chance.uniform(3, 40))
            again = ScheduledRun(f"again {at.isoformat()}", started_at, worked_at + MINUTE / 60, worked_at)
            self.duplicates[name, at] = again

    def _manual(self, name: str, chance: random.Random) -> Iterator[datetime]:
        """Somebody runs the worker: at any time, after a miss, and often just before the next slot."""
        for at, after in pairwise(self.slots[name][1:]):
            truth = self.truth.get((name, at))
            # A slot whose own run was early would be on time by what somebody does after it.
            if truth is None or truth.kind == "early":
                continue
            share = 0.10 if truth.kind == "missed" else 0.05
            while chance.random() < share:
                worked_at = at + (after - at) * chance.choice((chance.random(), chance.uniform(0.9, 0.999)))
                if not any(self._is_busy(run, worked_at) for run in self._runs_about(name, worked_at)):
                    yield worked_at

    def _runs_about(self, name: str, at: datetime) -> list[ScheduledRun]:
        known = self.slots[name]
        last = bisect_right(known, at) + 1
        found = [self.truth.get((name, one)) for one in known[max(last - 60, 0) : last]]
        again = [self.duplicates.get((name, one)) for one in known[max(last - 60, 0) : last]]
        return [truth.run for truth in found if truth and truth.run] + [one for one in again if one]

    @staticmethod
    def _is_busy(run: ScheduledRun, at: datetime) -> bool:
        """One writer at a time: nobody runs the worker by hand while a run of the schedule does."""
        return bool(run.started_at and run.started_at <= at and (run.ended_at is None or at <= run.ended_at))

    def _serve(self, name: str) -> None:
        """The first work by hand between a slot and the next one does the slot's work, if its own run has not."""
        for at, after in pairwise(self.slots[name][1:]):
            truth = self.truth.get((name, at))
            by_hand = next((one for one in self.manual[name] if at <= one < after), None)
            if truth is None or by_hand is None:
                continue
            own = truth.run.worked_at if truth.run else None
            if own is None or by_hand < own:
                kind = "on_time" if by_hand <= closing(at, after) or truth.kind == "on_time" else "late"
                if truth.kind != "early":
                    self.truth[name, at] = replace(truth, kind=kind, cause=None)

    # --- What the watcher can see ----------------------------------------------------------------------------------

    def observations(self) -> Iterator[WatcherObservation]:
        """An observation each minute, with half a minute of delay at most; none while somebody is away."""
        at, blind = self.start, sorted(
            (one.start, one.end) for one in self.troubles if one.cause in ("daemon_down", "code_location_not_loadable")
        )  # fmt: skip
        restarts = sorted(
            one.end for one in self.troubles
            if one.cause == "daemon_down" or (one.cause == "code_location_not_loadable" and one.has_twist)
        )  # fmt: skip
        # The last sign of life of each daemon: half a minute old at most when it goes.
        last_beats = [
            (start if cause == "daemon_down" else end) - timedelta(seconds=15)
            for end, start, cause in sorted(
                (one.end, one.start, one.cause) for one in self.troubles if one.end in restarts
            )
        ]
        off = [one for one in self.troubles if one.cause == "schedule_stopped"]
        away = iter([*blind, (self.end + MINUTE, self.end + MINUTE)])
        start, end = next(away)
        while at <= self.end:
            while at >= end:
                start, end = next(away)
            if start <= at:
                at = end + timedelta(seconds=5)
                continue
            daemon = bisect_right(restarts, at)
            yield WatcherObservation(
                at,
                f"daemon {daemon}",
                frozenset(one.schedule for one in off if one.start <= at < one.end),
                {one.schedule: one.end for one in off if one.end <= at},
                last_beats[daemon - 1] if daemon else None,
                any(one.cause == CAUSES[1] and one.end <= at < one.end + MINUTE for one in self.troubles),
            )
            at += LOOKS_EVERY

    def records(self, name: str, since: datetime, now: datetime) -> Records:
        found = super().records(name, since, now)
        runs = list(found.runs)
        for at in found.ticks:
            again = self.duplicates.get((name, at))
            if again and again.started_at and again.started_at <= now:
                runs.append((at, as_seen(again, now)))
        by_runs = [run.worked_at for _, run in runs if run.worked_at and since < run.worked_at <= now]
        by_hand = [at for at in self.manual[name] if since < at <= now]
        return Records(found.ticks, runs, sorted([*by_runs, *by_hand]))
