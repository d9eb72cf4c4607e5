"""What the demo says was wrong earlier in its month, with the command that shows it.

Every number is read from the reports of the home; the stories say where to look, not what is found.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from cavra_pipeline.demo.month import Story
from cavra_pipeline.documents import parse_as_of, whole_minutes
from cavra_pipeline.durations import short_duration
from cavra_pipeline.executive.words import count
from cavra_pipeline.executive.wrong import Wrong

#: A health report's window, in hours, that holds the whole month.
MONTH_HOURS: Final = 24 * 32

Report = Mapping[str, Any]
Reports = Mapping[str, Report]


def what_was_wrong(health: Reports, early: Reports, *, outage: Story, late: Story) -> list[Wrong]:
    """Returns what was wrong earlier in the month: the worker's outage and the late day.

    Args:
        health: The health report of each lane over the whole month, with all evidence in it.
        early: The same before the late file.
        outage: The story of the worker's outage.
        late: The story of the late day.
    """
    return [_outage(health, outage), _late(health, early, late)]


def _outage(health: Reports, story: Story) -> Wrong:
    missed = [number for lane in story.lanes if (number := _missed(health[lane], story))]
    return Wrong(
        f"the worker host was down for {_length(story)} from {_moment(story.began_at)}: {count(sum(missed), 'run')} "
        f"missed in {count(len(missed), 'lane')}",
        (f"retry-health --lane {story.lanes[0]} --window-hours {MONTH_HOURS}",),
    )


def _late(health: Reports, early: Reports, story: Story) -> Wrong:
    lane = max(story.lanes, key=lambda name: _missed(early[name], story))
    before, after = _missed(early[lane], story), _missed(health[lane], story)
    return Wrong(
        f"evidence of {_length(story)} from {_moment(story.began_at)} arrived late: {lane} seemed to have missed "
        f"{count(before, 'run')}, and missed {after or 'none'}",
        (f"retry-health --lane {lane} --window-hours {MONTH_HOURS}",),
    )


def _missed(health: Report, story: Story) -> int:
    """Runs missed in the outages of a health report that a story overlaps."""
    return sum(
        outage["missed_runs"]
        for outage in health["outages"]
        if outage["started_at"] is not None
        and parse_as_of(outage["started_at"]) < story.last_at
        and (outage["ended_at"] is None or parse_as_of(outage["ended_at"]) > story.began_at)
    )


def _length(story: Story) -> str:
    return short_duration(whole_minutes(story.last_at - story.began_at))


def _moment(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M}"
