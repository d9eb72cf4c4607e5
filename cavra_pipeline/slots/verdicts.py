"""The verdict on one slot, as a pure function of what is known of it. Nothing here reads Dagster, a file or a clock."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from cavra_pipeline.settings import DEFAULT_TOLERANCE, Tolerance


class VerdictKind(StrEnum):
    """Kind of a verdict."""

    ON_TIME = "on_time"
    LATE = "late"
    EARLY = "early"
    MISSED = "missed"
    NOT_EXPECTED = "not_expected"
    UNKNOWN = "unknown"


class Cause(StrEnum):
    """Cause of a missed slot."""

    SCHEDULE_STOPPED = "schedule_stopped"
    DAEMON_DOWN = "daemon_down"
    CODE_LOCATION_NOT_LOADABLE = "code_location_not_loadable"
    QUEUED_TOO_LONG = "queued_too_long"
    FAILED_BEFORE_WORK = "failed_before_work"
    WAREHOUSE_BUSY = "warehouse_busy"
    UNKNOWN_CAUSE = "unknown_cause"


#: Intervals that explain a slot without a tick; where several cover it, the first that is the slot's own comes first.
_INTERVAL_CAUSES: Final = (Cause.SCHEDULE_STOPPED, Cause.DAEMON_DOWN, Cause.CODE_LOCATION_NOT_LOADABLE)
#: What stopped a tick may have been seen to work up to this long before the tick was due.
_LOOK_SLACK: Final = timedelta(minutes=1)
#: The end of a run that has none yet.
_NEVER: Final = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Slot:
    """One instant at which a schedule should run.

    Attributes:
        schedule: Name of the schedule.
        expected_at: When it should run; aware, UTC.
        previous_at: The slot before.
        next_at: The slot after.
        is_declared_on: Whether the schedule had to be on then.
        tolerance: Grace and early tolerance in force then.
    """

    schedule: str
    expected_at: datetime
    previous_at: datetime
    next_at: datetime
    is_declared_on: bool = True
    tolerance: Tolerance = DEFAULT_TOLERANCE

    @property
    def closes_at(self) -> datetime:
        """Last instant at which the work is on time."""
        return self.expected_at + self.tolerance.grace(self.next_at - self.expected_at)

    @property
    def opens_at(self) -> datetime:
        """First instant at which the work is on time."""
        return self.expected_at - self.tolerance.early(self.expected_at - self.previous_at)


@dataclass(frozen=True, slots=True)
class Configuration:
    """Configuration of a schedule from an instant on.

    Attributes:
        schedule: Its name.
        valid_from: Since when.
        cron: Its cron expression.
        time_zone: The zone the expression is read in.
        is_declared_on: Whether the declared desired state had it on.
        tolerance: Grace and early tolerance.
    """

    schedule: str
    valid_from: datetime
    cron: str
    time_zone: str
    is_declared_on: bool
    tolerance: Tolerance

    def differs_from(self, other: Configuration) -> bool:
        """Returns whether anything but the instant is different."""
        return replace(self, valid_from=other.valid_from) != other


def slots_of(configuration: Configuration, instants: Sequence[datetime]) -> list[Slot]:
    """Makes slots of a schedule's instants in order; the first and last only say how wide the gaps beside them are."""
    return [
        Slot(configuration.schedule, at, before, after, configuration.is_declared_on, configuration.tolerance)
        for before, at, after in zip(instants, instants[1:], instants[2:], strict=False)
    ]


@dataclass(frozen=True, slots=True)
class Tick:
    """A row that the scheduler left for the slot.

    Attributes:
        status: ``success``, ``skipped``, ``failure``, ``started``, or ``waiting`` if no run was asked for as the one
            before still waits for its turn.
        ended_at: When it was evaluated.
        is_load_error: Whether it failed because the code location was not to be had.
    """

    status: str
    ended_at: datetime
    is_load_error: bool = False


@dataclass(frozen=True, slots=True)
class ScheduledRun:
    """A run that was launched for the slot.

    Attributes:
        run_id: Dagster's id.
        started_at: When it left the queue; None if it has not.
        ended_at: When it ended; None if it has not.
        worked_at: When its work was done; None if it was not.
        is_busy_failure: Whether it failed because the warehouse stayed busy.
    """

    run_id: str
    started_at: datetime | None = None
    ended_at: datetime | None = None
    worked_at: datetime | None = None
    is_busy_failure: bool = False


@dataclass(frozen=True, slots=True)
class Interval:
    """A stretch of time in which something kept slots from running.

    Attributes:
        cause: What it was.
        started_at: When it was last seen to be well.
        ended_at: When it was first seen to be well again; None while it lasts.
        schedule: The schedule it holds for; None for all.
    """

    cause: Cause
    started_at: datetime
    ended_at: datetime | None = None
    schedule: str | None = None

    def explains(self, slot: Slot) -> bool:
        """Returns whether the slot fell into the interval."""
        return (
            self.schedule in (None, slot.schedule)
            and self.started_at - _LOOK_SLACK <= slot.expected_at
            and (self.ended_at is None or slot.expected_at < self.ended_at)
        )


@dataclass(frozen=True, slots=True)
class Evidence:
    """Evidence about one slot.

    Attributes:
        ticks: The scheduler's rows for it.
        runs: The runs launched for it.
        work: When worker-run evidence says that the work was done without such a run.
        intervals: What kept slots from running, at any time.
        watched_from: Since when somebody has been looking; None if no one has.
    """

    ticks: Sequence[Tick] = ()
    runs: Sequence[ScheduledRun] = ()
    work: Sequence[datetime] = ()
    intervals: Sequence[Interval] = ()
    watched_from: datetime | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Verdict on a slot.

    Attributes:
        kind: The verdict.
        cause: Why it was missed; None unless it was.
        done_at: When the work was done; None if it was not.
        run_id: The run that decided the verdict, if one did.
    """

    kind: VerdictKind
    cause: Cause | None = None
    done_at: datetime | None = None
    run_id: str | None = None


def decide(slot: Slot, evidence: Evidence, *, now: datetime) -> Verdict | None:
    """Decides what became of a slot.

    Returns:
        The verdict, or None while the slot is open: its work may still be done on time.
    """
    if now < slot.expected_at:
        return None
    if not slot.is_declared_on:
        return Verdict(VerdictKind.NOT_EXPECTED)
    done = _done(slot, evidence)
    if done and done.kind is VerdictKind.ON_TIME:
        return done
    if now <= slot.closes_at:
        return None
    return done or _not_done(slot, evidence)


def _done(slot: Slot, evidence: Evidence) -> Verdict | None:
    """The first work that is not too early counts; if all of it is, the last of it."""
    done = sorted(
        [(run.worked_at, run.run_id) for run in evidence.runs if run.worked_at]
        + [(at, None) for at in evidence.work]
        # A tick that decides to ask for no run has done what it was there for.
        + [(tick.ended_at, None) for tick in evidence.ticks if tick.status == "skipped"],
        key=lambda completion: completion[0],
    )
    if not done:
        return None
    at, run_id = next((completion for completion in done if completion[0] >= slot.opens_at), done[-1])
    kind = (
        VerdictKind.EARLY if at < slot.opens_at else VerdictKind.ON_TIME if at <= slot.closes_at else VerdictKind.LATE
    )
    return Verdict(kind, None, at, run_id)


def _not_done(slot: Slot, evidence: Evidence) -> Verdict:
    """Returns why a closed slot has no work: by its own run first, then its tick, then what kept both away."""
    for run in reversed(evidence.runs):
        if run.ended_at:
            cause = Cause.WAREHOUSE_BUSY if run.is_busy_failure else Cause.FAILED_BEFORE_WORK
            return Verdict(VerdictKind.MISSED, cause, run_id=run.run_id)
        if run.started_at:
            return Verdict(VerdictKind.UNKNOWN, run_id=run.run_id)
        return Verdict(VerdictKind.MISSED, Cause.QUEUED_TOO_LONG, run_id=run.run_id)
    statuses = {tick.status for tick in evidence.ticks}
    if "failure" in statuses:
        is_load_error = any(tick.is_load_error for tick in evidence.ticks)
        return Verdict(
            VerdictKind.MISSED, Cause.CODE_LOCATION_NOT_LOADABLE if is_load_error else Cause.FAILED_BEFORE_WORK
        )
    if "waiting" in statuses:
        return Verdict(VerdictKind.MISSED, Cause.QUEUED_TOO_LONG)
    if "success" in statuses:
        return Verdict(VerdictKind.UNKNOWN)
    causes = {interval.cause for interval in evidence.intervals if interval.explains(slot)}
    for cause in _INTERVAL_CAUSES:
        if cause in causes:
            return Verdict(VerdictKind.MISSED, cause)
    if evidence.watched_from is None or slot.expected_at < evidence.watched_from:
        return Verdict(VerdictKind.UNKNOWN)
    return Verdict(VerdictKind.MISSED, Cause.UNKNOWN_CAUSE)


def revised(before: Verdict, after: Verdict) -> Verdict:
    """Returns the verdict that stands once a slot is judged again.

    A verdict only ever gains: what was unknown or missed may turn out done, what was unknown may turn out missed, and a
    cause that was unknown may become known. A known cause stands.
    """
    if before.kind is VerdictKind.UNKNOWN:
        return after
    if before.kind is not VerdictKind.MISSED:
        return before
    if after.done_at:
        # It was found missing when it closed, so work that shows up now is late for whoever waited.
        return Verdict(VerdictKind.LATE, None, after.done_at, after.run_id)
    if before.cause is Cause.UNKNOWN_CAUSE and after.kind is VerdictKind.MISSED:
        return after
    return before


def share_out(
    slots: Sequence[Slot],
    runs: Iterable[tuple[datetime, ScheduledRun]],
    work: Iterable[datetime],
    *,
    launches: bool = False,
) -> dict[datetime, list[datetime]]:
    """Assigns each piece of work that no slot's run did to one slot, or to none.

    It serves the newest slot that is due, unless that one was served already: then it is an extra run, and never counts
    for a later slot. Only where the schedule launches no run at all, so that somebody else starts the work, does work
    within the early tolerance serve the slot that is about to come.

    Args:
        slots: The slots of one schedule, in order.
        runs: Runs with the slot they were launched for; work done while one was under way is its own.
        work: When worker-run evidence says that the work was done.
        launches: Whether the schedule is known to launch runs, though there may be none among ``runs``.

    Returns:
        By slot instant, the work it was given, in order.
    """
    launched = list(runs)
    busy = _merged([run for _, run in launched])
    starts = [first for first, _ in busy]
    due = [slot.expected_at if launched or launches else slot.opens_at for slot in slots]
    served = {at for at, run in launched if run.worked_at}
    work_by_slot: dict[datetime, list[datetime]] = {}
    for at in sorted(work):
        under_way = bisect_right(starts, at) - 1
        newest = bisect_right(due, at) - 1
        if newest < 0 or (under_way >= 0 and at <= busy[under_way][1]):
            continue
        expected_at = slots[newest].expected_at
        if expected_at not in served:
            served.add(expected_at)
            work_by_slot[expected_at] = [at]
    return work_by_slot


def _merged(runs: Iterable[ScheduledRun]) -> list[tuple[datetime, datetime]]:
    """Returns the stretches of time in which a run was under way, in order and without overlaps."""
    merged: list[tuple[datetime, datetime]] = []
    for first, last in sorted((run.started_at, run.ended_at or _NEVER) for run in runs if run.started_at):
        if merged and first <= merged[-1][1]:
            first, last = merged[-1][0], max(last, merged.pop()[1])
        merged.append((first, last))
    return merged
