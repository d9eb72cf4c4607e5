"""Recoveries over time for executives: totals of a window, the open ones by day, by provider and by cause."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Final

from cavra_pipeline.documents import instant, shifted, whole_minutes
from cavra_pipeline.recoveries.history import OpenInterval, Recovery

#: Windows up to a month have a backlog point every six hours, longer ones every day.
FINE_WINDOW_DAYS: Final = 31


@dataclass(frozen=True, slots=True)
class RecoveryTrend:
    """The recoveries that had opened at an instant, and the window that a report covers.

    Attributes:
        recoveries: In order of opening.
        start: Start of the window.
        at: The instant; both in UTC without a zone.
        slo: How long a recovery may be open.
    """

    recoveries: Sequence[Recovery]
    start: datetime
    at: datetime
    slo: timedelta

    def totals(self) -> dict[str, Any]:
        """Returns how many were opened and closed: ever, and in the window; opened = closed + open."""
        counts = self.counts()
        closed = [recovery.closed_at(self.at) for recovery in self.recoveries]
        spans = sorted(
            moment - recovery.opened_at
            for recovery, moment in zip(self.recoveries, closed, strict=True)
            if moment is not None and moment >= self.start
        )
        reopened = sum(
            interval.number > 1 and interval.started_at >= self.start
            for recovery in self.recoveries
            for interval in recovery.open_intervals(self.at)
        )
        return {
            "opened_count": len(closed),
            "closed_count": len(closed) - closed.count(None),
            **counts,
            "reopened_in_window_count": reopened,
            "closed_late_in_window_count": sum(span > self.slo for span in spans),
            "median_minutes_to_close": whole_minutes(spans[len(spans) // 2]) if spans else None,
        }

    def counts(self) -> dict[str, Any]:
        """Returns how many are open and past the limit, and how many were opened and closed in the window."""
        return self._counts(self.recoveries)

    def grouped(self, name: str, key: Callable[[Recovery], str]) -> list[dict[str, Any]]:
        """Returns the same counts for each group that has an open recovery, or one opened or closed in the window.

        Args:
            name: What the group is called in the answer.
            key: The group of a recovery.

        Returns:
            Groups, those with the most open recoveries first.
        """
        groups: defaultdict[str, list[Recovery]] = defaultdict(list)
        for recovery in self.recoveries:
            groups[key(recovery)].append(recovery)
        rows = [{name: group, **self._counts(some)} for group, some in sorted(groups.items())]
        rows = [row for row in rows if any(row[count] for count in row if count.endswith("_count"))]
        return sorted(rows, key=lambda row: -int(row["open_count"]))

    def _counts(self, recoveries: Sequence[Recovery]) -> dict[str, Any]:
        closed = [(recovery, moment) for recovery in recoveries if (moment := recovery.closed_at(self.at))]
        lately = [moment - recovery.opened_at for recovery, moment in closed if moment >= self.start]
        in_time = sum(span <= self.slo for span in lately)
        return {
            "open_count": len(recoveries) - len(closed),
            "slo_breached_count": sum(recovery.is_past_limit(self.at, self.slo) for recovery in recoveries),
            "opened_in_window_count": sum(recovery.opened_at >= self.start for recovery in recoveries),
            "closed_in_window_count": len(lately),
            "closed_within_limit_percent": in_time * 100 // len(lately) if lately else None,
        }

    def by_day(self) -> list[dict[str, Any]]:
        """Returns for each UTC day of the window how many were opened (again ones too), closed, and open at its end."""
        intervals = [each for _, each in self._intervals()]
        opened = Counter(each.started_at.date() for each in intervals)
        closed = Counter(each.ended_at.date() for each in intervals if each.ended_at)
        is_open = sum(
            each.started_at < self.start and not (each.ended_at and each.ended_at < self.start) for each in intervals
        )
        trend = []
        for ordinal in range(self.start.toordinal(), self.at.toordinal() + 1):
            day = datetime.fromordinal(ordinal).date()
            is_open += opened[day] - closed[day]
            counts = {"opened_count": opened[day], "closed_count": closed[day], "open_count": is_open}
            trend.append({"day": day.isoformat(), **counts})
        return trend

    def backlog(self, window_days: int) -> list[dict[str, Any]]:
        """Returns how many were open, and past their limit, at even steps and at the end, and at most in each step."""
        step = timedelta(hours=6 if window_days <= FINE_WINDOW_DAYS else 24)
        moments = [self.start + number * step for number in range((self.at - self.start) // step + 1)]
        if moments[-1] != self.at:
            moments.append(self.at)
        opened, closed, late, late_ended = self._edges()

        def counts(moment: datetime) -> tuple[int, int]:
            # An age of exactly the limit is not over it yet, hence bisect_left.
            is_late = bisect_left(late, moment) - bisect_right(late_ended, moment)
            return bisect_right(opened, moment) - bisect_right(closed, moment), is_late

        rises = sorted({*opened, *(shifted(moment, timedelta(microseconds=1)) for moment in late)})
        points = []
        for before, moment in pairwise([self.start, *moments]):
            within = rises[bisect_right(rises, before) : bisect_right(rises, moment)]
            (open_count, breached_count), *others = (counts(each) for each in (moment, before, *within))
            points.append(
                {
                    "at": instant(moment),
                    "open_count": open_count,
                    "breached_count": breached_count,
                    "most_open_count": max(open_count, *(each[0] for each in others)),
                    "most_breached_count": max(breached_count, *(each[1] for each in others)),
                }
            )
        return points

    def _edges(self) -> tuple[list[datetime], list[datetime], list[datetime], list[datetime]]:
        """When intervals began and ended, and when the parts of them past the limit did, each in order."""
        opened, closed, late, late_ended = [], [], [], []
        for recovery, interval in self._intervals():
            opened.append(interval.started_at)
            if interval.ended_at:
                closed.append(interval.ended_at)
            limit_at = shifted(recovery.opened_at, self.slo)
            late_at = max(limit_at, interval.started_at)
            if interval.ended_at is None or late_at < interval.ended_at:
                # Opened again when the limit was over already, it is past it from its first instant on.
                is_again = interval.started_at > limit_at
                late.append(late_at - timedelta(microseconds=1) if is_again else late_at)
                late_ended += [interval.ended_at] if interval.ended_at else []
        return sorted(opened), sorted(closed), sorted(late), sorted(late_ended)

    def _intervals(self) -> list[tuple[Recovery, OpenInterval]]:
        return [(recovery, interval) for recovery in self.recoveries for interval in recovery.open_intervals(self.at)]
