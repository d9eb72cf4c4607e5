"""What a person does about workers that are down, by Dagster's daemon and the schedules: as the console says it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from cavra_pipeline.cli.common import clock, daemon_of, home
from cavra_pipeline.cli.tables import is_daemon_off, short_time
from cavra_pipeline.documents import instant
from cavra_pipeline.executive.words import listed
from cavra_pipeline.lanes import LANES

#: Of a past instant, or where the daemon can't be asked.
UNKNOWN_STEP: Final = "Check that the schedule is on and that the Dagster daemon runs; the next run ends the outage."
OFF_STEP: Final = (
    "Start the Dagster daemon (cavra-pipeline dev) and check that the worker's schedule is on; "
    "the next run ends the outage."
)
ON_STEP: Final = (
    "The Dagster daemon runs: check in Dagster that the worker's schedule is on; the next run ends the outage."
)
ONE_DUE: Final = (
    "The scheduled run at {times} ends the {outages}; if it does not, check in Dagster that the schedule is on."
)
SEVERAL_DUE: Final = (
    "The scheduled runs at {times} end the outages; if one does not end, check in Dagster that its schedule is on."
)


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
        return UNKNOWN_STEP
    now = clock()
    daemon = daemon or daemon_of(home(), now)
    if is_daemon_off(daemon):
        return OFF_STEP
    if daemon["state"] == "unknown":
        return UNKNOWN_STEP
    from cavra_pipeline.schedules import next_ticks

    return step_while_daemon_runs(lanes, next_ticks(home(), now=now), now)


def step_while_daemon_runs(lanes: Collection[str], schedules: Sequence[Mapping[str, Any]], now: datetime) -> str:
    """Returns what `down_step` does while the daemon runs, by when each schedule is due next."""
    names = {LANES[lane].schedule for lane in lanes}
    due = [row["next_due_at"] for row in schedules if row["next_due_at"] and row["schedule"] in names]
    times = listed([_near(at, now) for at in sorted(set(due))])
    if len(due) == 1:
        return ONE_DUE.format(times=times, outages="outage" if len(lanes) == 1 else "outages")
    return SEVERAL_DUE.format(times=times) if due else ON_STEP


def _near(at: str, now: datetime) -> str:
    """An instant without its day, if that is today."""
    text = f"{short_time(at)} UTC"
    return text[len("2026-11-30 ") :] if at[:10] == (instant(now) or "")[:10] else text
