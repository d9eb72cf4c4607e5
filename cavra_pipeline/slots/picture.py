"""The slot ledger for a person (a picture in text) and for a program (one document)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import groupby
from typing import Any, Final

from cavra_pipeline.documents import instant, with_instants
from cavra_pipeline.slots.verdicts import Cause, VerdictKind

MARKS: Final[dict[str, str]] = {
    VerdictKind.ON_TIME: ".",
    VerdictKind.LATE: "l",
    VerdictKind.EARLY: "e",
    VerdictKind.NOT_EXPECTED: "-",
    VerdictKind.UNKNOWN: "?",
    Cause.SCHEDULE_STOPPED: "S",
    Cause.DAEMON_DOWN: "D",
    Cause.CODE_LOCATION_NOT_LOADABLE: "C",
    Cause.QUEUED_TOO_LONG: "Q",
    Cause.FAILED_BEFORE_WORK: "F",
    Cause.WAREHOUSE_BUSY: "W",
    Cause.UNKNOWN_CAUSE: "X",
}


def picture(rows: Iterable[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    """Returns schedule, UTC day and marks, in the order of the rows (by schedule and instant)."""
    return [
        (schedule, day, "".join(MARKS[row["cause"] or row["verdict"]] for row in group))
        for (schedule, day), group in groupby(
            rows, key=lambda row: (str(row["schedule"]), row["expected_at"].date().isoformat())
        )
    ]


def legend(marks: Iterable[str]) -> str:
    """Returns the meanings of the marks of a picture."""
    used = set("".join(marks))
    return ", ".join(f"{letter} {name.replace('_', ' ')}" for name, letter in MARKS.items() if letter in used)


def slots_document(
    rows: list[dict[str, Any]],
    first_at: datetime,
    until: datetime,
    *,
    recorded_since: datetime | None,
    schedules: list[dict[str, Any]],
) -> dict[str, Any]:
    """Returns the slots of a range and how many have each verdict, as the command line and the API answer.

    Args:
        rows: The slots.
        first_at: Where the range begins.
        until: Where it ends.
        recorded_since: The oldest slot on record, of any range.
        schedules: When each schedule is due next.
    """
    return {
        "from": instant(first_at),
        "to": instant(until),
        "recorded_since": instant(recorded_since),
        "slot_count": len(rows),
        "counts": {kind: sum(row["verdict"] == kind for row in rows) for kind in VerdictKind},
        "schedules": schedules,
        "slots": [with_instants(row) for row in rows],
    }
