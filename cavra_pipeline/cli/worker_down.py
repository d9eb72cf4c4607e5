"""What a person does about workers that are down or run too seldom, by Dagster's daemon and this host's schedules.

Also how a forecast of their runs differs from those schedules.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from cavra_pipeline.cli.common import clock, daemon_of, home
from cavra_pipeline.cli.tables import is_daemon_off, is_daemon_on, short_time, time_of_day
from cavra_pipeline.documents import instant
from cavra_pipeline.durations import short_duration
from cavra_pipeline.executive.words import listed
from cavra_pipeline.lanes import LANES
from cavra_pipeline.reports.cause_words import DOWN_STEPS, FORECAST_NOTE, INTERVAL_STEP, INTERVAL_STEP_HERE


def down_step(
    lanes: Collection[str],
    *,
    is_past: bool = False,
    daemon: Mapping[str, Any] | None = None,
) -> str:
    """Returns what a person does about the workers of these lanes that are down.

    Args:
        lanes: The lanes.
        is_past: Whether it is asked of an earlier instant, which says nothing of the daemon at that time.
        daemon: The daemon's state, where the caller has it: reading it loads Dagster.
    """
    if is_past:
        return DOWN_STEPS["unknown"]
    now = clock()
    daemon = daemon or daemon_of(home(), now)
    if is_daemon_off(daemon):
        return DOWN_STEPS["daemon_off"]
    if daemon["state"] == "unknown":
        return DOWN_STEPS["unknown"]
    from cavra_pipeline.schedules import next_ticks

    return step_while_daemon_runs(lanes, next_ticks(home(), now=now), now)


def forecast_note(lane: str) -> str:
    """Returns how a forecast's instants differ from this host's schedule; empty where Dagster's daemon does not run."""
    now = clock()
    if not is_daemon_on(daemon_of(home(), now)):
        return ""
    from cavra_pipeline.schedules import next_ticks

    due = {row["schedule"]: row["next_due_at"] for row in next_ticks(home(), now=now)}[LANES[lane].schedule]
    return FORECAST_NOTE.format(time=_at(due, now)) if due else ""


def interval_step(
    lane: str, expected_interval_minutes: int, *, is_past: bool = False, daemon: Mapping[str, Any] | None = None
) -> str:
    """Returns what a person does about a lane's worker that runs, and less often than expected.

    Args:
        lane: The lane.
        expected_interval_minutes: How often its worker should run.
        is_past: Whether it is asked of an earlier instant, of which this host's schedules say nothing.
        daemon: The daemon's state, where the caller has it; schedules of one that does not run are never due.
    """
    if is_past or not is_daemon_on(daemon or daemon_of(home(), clock())):
        return INTERVAL_STEP
    from cavra_pipeline.schedules import next_ticks

    due = {row["schedule"]: row["due_every_minutes"] for row in next_ticks(home(), now=clock())}
    every = due[LANES[lane].schedule]
    if every is None or every > expected_interval_minutes:
        return INTERVAL_STEP
    return INTERVAL_STEP_HERE.format(every=short_duration(every))


def step_while_daemon_runs(lanes: Collection[str], schedules: Sequence[Mapping[str, Any]], now: datetime) -> str:
    """Returns what `down_step` does while the daemon runs, by when each schedule is due next."""
    names = {LANES[lane].schedule for lane in lanes}
    due = [row["next_due_at"] for row in schedules if row["next_due_at"] and row["schedule"] in names]
    times = listed([_at(at, now) for at in sorted(set(due))])
    if len(due) == 1:
        return DOWN_STEPS["due"].format(times=times, outages="outage" if len(lanes) == 1 else "outages")
    return DOWN_STEPS["several_due" if due else "never_due"].format(times=times)


def _at(moment: str, now: datetime) -> str:
    return f"{time_of_day(moment, instant(now) or '') or short_time(moment)} UTC"
