"""Run requests for sets of days: one for each unbroken range, keyed by content, and what a sensor remembers of them.

A day that was asked for is remembered until its run has succeeded; one whose run failed, was cancelled or is gone is
asked for again, after a minute at first, then up to an hour, and once a day after many attempts with the same content.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

import dagster as dg

from cavra_pipeline.event_log import stores_in_batches
from cavra_pipeline.jobs import IN_PROGRESS, RANGE_END_TAG, RANGE_START_TAG, is_of_range, range_tags
from cavra_pipeline.sensors.dagster_records import newest_request, repository_of
from cavra_pipeline.sensors.instance import instance_of
from cavra_pipeline.sensors.location import Location, runs_of

#: A tick asks for so many runs; the next one goes on.
MOST_RANGES: Final = 5
#: Partitions of assets that one tick asks for. Dagster's daemon stores a planned event for each before any other sensor
#: ticks: some 10 ms of processor time, or 1 ms where the event log stores them together. Each is a commit of its own:
#: 0.4 s where a disk and two cores had twelve times more to do than they can.
MOST_PLANNED: Final = 200
MOST_PLANNED_TOGETHER: Final = 12_000
#: Where a tick took longer than this, the next one asks for fewer days; but for two, as a run of one costs as much.
REQUEST_TIME: Final = timedelta(seconds=20)
LEAST_DAYS: Final = 2
#: From so many attempts with the same content on, in some 19 hours, a day is asked for once a day.
MANY_ATTEMPTS: Final = 24
_FIRST_WAIT: Final = timedelta(minutes=1)
_LONG_WAIT: Final = timedelta(hours=1)
_LONGEST_WAIT: Final = timedelta(days=1)
_MOST_NAMED: Final = 3


@dataclass(frozen=True, slots=True)
class RequestedDay:
    """A day that was asked for and is not made yet.

    Attributes:
        content: What the newest request follows from.
        since: When the day was first asked for.
        attempts: How often it was asked for with this content.
        requested_at: When it was last requested.
    """

    content: str
    since: datetime
    attempts: int
    requested_at: datetime

    def is_due(self, content: str, now: datetime) -> bool:
        """Returns whether it is to be asked for again, while no run of the day is in progress."""
        wait = _LONGEST_WAIT if self.is_slow else min(_FIRST_WAIT * 2 ** min(self.attempts - 1, 10), _LONG_WAIT)
        return content != self.content or now - self.requested_at >= wait

    @property
    def is_slow(self) -> bool:
        """Whether it was asked for so often with this content that it is asked for once a day."""
        return self.attempts >= MANY_ATTEMPTS

    def document(self) -> list[str | int]:
        """Returns it for a cursor."""
        return [self.content, self.since.isoformat(), self.attempts, self.requested_at.isoformat()]

    @classmethod
    def of(cls, document: Sequence[Any]) -> RequestedDay:
        """Reads it from a cursor."""
        content, since, attempts, requested_at = document
        return cls(content, datetime.fromisoformat(since), attempts, datetime.fromisoformat(requested_at))


def ask(
    context: dg.SensorEvaluationContext,
    wanted: Mapping[date, str],
    requested_days: dict[date, RequestedDay],
    *,
    sensor: str,
    selection: Sequence[dg.AssetKey],
    place: Location,
    now: datetime,
) -> list[dg.RunRequest]:
    """Asks for days, the earliest first, as many as one tick may, and notes them in ``asked``.

    Args:
        context: Of the tick.
        wanted: The days that are to be made, each with what its request follows from.
        requested_days: The days that were asked for and are not made yet.
        sensor: Name of the sensor that asks.
        selection: The assets to materialise.
        place: Its code location; a day that one of its runs in progress makes waits for the end of that run.
        now: The instant of the tick.
    """
    running = runs_of(instance_of(context), place, dg.RunsFilter(statuses=IN_PROGRESS))
    due = [
        day
        for day, content in wanted.items()
        if (day not in requested_days or requested_days[day].is_due(content, now))
        and not any(is_of_range(run.tags, day) for run in running)
    ]
    most = _most_days(context, place, sensor, len(selection)) if due else 0
    taken = list(ranges(sorted(due)[:most]))[:MOST_RANGES]
    for day in (day for days in taken for day in days):
        before = requested_days.get(day)
        again = before.attempts if before and before.content == wanted[day] else 0
        requested_days[day] = RequestedDay(wanted[day], before.since if before else now, again + 1, now)
    return [
        request_for(
            days,
            selection=selection,
            content=" ".join(
                wanted[day] if requested_days[day].attempts == 1 else f"{wanted[day]}.{requested_days[day].attempts}"
                for day in days
            ),
        )
        for days in taken
    ]


def _most_days(context: dg.SensorEvaluationContext, place: Location, sensor: str, asset_count: int) -> int:
    """Returns how many days a tick may ask for: one at least, fewer where the newest request took long to be stored."""
    if stores_in_batches(instance_of(context)):
        return max(1, MOST_PLANNED_TOGETHER // asset_count)
    most = MOST_PLANNED // asset_count
    if newest := newest_request(context, place, sensor):
        requests, took = newest
        if took > REQUEST_TIME:
            days = int(sum(_day_count(request.tags) for request in requests) * (REQUEST_TIME / took))
            most = min(most, max(LEAST_DAYS, days))
    return max(1, most)


def _day_count(tags: Mapping[str, str]) -> int:
    first, last = (date.fromisoformat(tags[name]) for name in (RANGE_START_TAG, RANGE_END_TAG))
    return (last - first).days + 1


def slow_in_words(requested_days: Mapping[date, RequestedDay]) -> str:
    """Names the days that are asked for once a day, the earliest first; empty if there is none."""
    slow = [str(day) for day, requested_day in sorted(requested_days.items()) if requested_day.is_slow]
    if not slow:
        return ""
    more = f" and {len(slow) - _MOST_NAMED} more" if len(slow) > _MOST_NAMED else ""
    return (
        f" Asked for once a day, as {MANY_ATTEMPTS} attempts or more did not succeed: "
        f"{', '.join(slow[:_MOST_NAMED])}{more}."
    )


def ranges(days: Sequence[date]) -> Iterator[list[date]]:
    """Yields the unbroken runs of days, in order."""
    run: list[date] = []
    for day in sorted(days):
        if run and day != run[-1] + timedelta(days=1):
            yield run
            run = []
        run.append(day)
    if run:
        yield run


def request_for(days: Sequence[date], *, selection: Sequence[dg.AssetKey], content: str) -> dg.RunRequest:
    """Asks for one run over an unbroken range of days.

    Args:
        days: The days, in order.
        selection: The assets to materialise.
        content: What the request follows from; the same content is never run twice.
    """
    key = hashlib.sha256(f"{days[0]} {days[-1]} {content}".encode()).hexdigest()[:24]
    return dg.RunRequest(
        run_key=key,
        asset_selection=list(selection),
        tags=range_tags(days),
    )


def resolve(context: dg.SensorEvaluationContext, selection: dg.AssetSelection) -> list[dg.AssetKey]:
    """Returns the assets that a selection stands for in the sensor's code location."""
    return sorted(selection.resolve(repository_of(context).asset_graph))
