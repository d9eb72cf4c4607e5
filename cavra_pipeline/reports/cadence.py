"""Since when a worker is down, and how often one runs that runs regularly but too seldom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from cavra_pipeline.documents import moment_of, naive_utc, parse_as_of, whole_minutes

#: A worker has missed a run once its last one is longer ago than so many of its intervals (contract section 7).
MISSED_AFTER: Final = 2
#: So many outages of about the same length are the worker's own interval, if a third of its runs or more follow one.
_REGULAR: Final = 5


def usual_interval(
    outages: Iterable[Mapping[str, Any]], *, expected_interval_minutes: int, run_count: int, at: datetime
) -> int | None:
    """Returns how often a worker runs, in minutes, if it runs regularly but less often than expected; else None.

    Args:
        outages: Those of a health report.
        expected_interval_minutes: The worker's cadence.
        run_count: How often it ran in the window of the outages.
        at: The instant of the report, in UTC without a zone.
    """
    expected = timedelta(minutes=expected_interval_minutes)
    gaps = [
        ((moment_of(outage["ended_at"]) or at) - started + expected, outage["ended_at"] is not None)
        for outage in outages
        if (started := moment_of(outage["started_at"]))
    ]
    whole = sorted(gap for gap, is_over in gaps if is_over)
    if len(whole) < _REGULAR or len(whole) * 3 < run_count or whole[-1] * 2 > whole[0] * 3:
        return None
    usual = whole[len(whole) // 2]
    return whole_minutes(usual) if all(gap * 2 <= usual * 3 for gap, _ in gaps) else None


def outage_open_since(outages: Iterable[Mapping[str, Any]]) -> str | None:
    """Returns when the open outage of a health report began, which is the first missed run; None if none is open.

    None as well of a worker that never ran: its first run was due at no known instant.
    """
    return next((outage["started_at"] for outage in outages if outage["ended_at"] is None), None)


def down_minutes(since: str, as_of: str) -> int:
    """Returns for how many whole minutes a worker has been down, by when its open outage began."""
    return whole_minutes(parse_as_of(as_of) - parse_as_of(since))


def usual_interval_of(health: Mapping[str, Any]) -> int | None:
    """Returns how often the worker of a health report runs, as ``usual_interval`` does."""
    return usual_interval(
        health["outages"],
        expected_interval_minutes=health["expected_interval_minutes"],
        run_count=health["worker_run_count"],
        at=naive_utc(parse_as_of(health["as_of"])),
    )
