"""What a person does about workers that are down, by Dagster's daemon and the schedules; the console says the same."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from cavra_pipeline.cli.common import clock, daemon_of, home
from cavra_pipeline.cli.tables import is_daemon_off, short_time
from cavra_pipeline.documents import instant
from cavra_pipeline.executive.words import listed
from cavra_pipeline.lanes import LANES
from cavra_pipeline.reports.cause_words import DOWN_STEPS


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


def step_while_daemon_runs(lanes: Collection[str], schedules: Sequence[Mapping[str, Any]], now: datetime) -> str:
    """Returns what `down_step` does while the daemon runs, by when each schedule is due next."""
    names = {LANES[lane].schedule for lane in lanes}
    due = [row["next_due_at"] for row in schedules if row["next_due_at"] and row["schedule"] in names]
    times = listed([_near(at, now) for at in sorted(set(due))])
    if len(due) == 1:
        return DOWN_STEPS["due"].format(times=times, outages="outage" if len(lanes) == 1 else "outages")
    return DOWN_STEPS["several_due" if due else "never_due"].format(times=times)


def _near(at: str, now: datetime) -> str:
    """An instant without its day, if that is today."""
    day, _, time = short_time(at).partition(" ")
    return f"{time} UTC" if day == short_time(instant(now)).partition(" ")[0] else f"{day} {time} UTC"
