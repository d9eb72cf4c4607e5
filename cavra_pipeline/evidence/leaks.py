"""Leaks: every secret that was found, once, until a person has handled its alert. The ingest notes them.

A leak outlives its file, its finding and the window of any report: only ``handle_leaks`` ends it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final

from cavra_pipeline.boundary.verdict import NOT_SECRETS, Action
from cavra_pipeline.documents import naive_utc
from cavra_pipeline.evidence.screen import LineFinding
from cavra_pipeline.warehouse import Rows, Session

_PACKAGE: Final = "cavra_pipeline.evidence"
_LEAKS: Final = {
    "drop_day": "DATE", "source_file": "VARCHAR", "line_number": "BIGINT", "sha256": "VARCHAR", "rule": "VARCHAR",
    "path": "VARCHAR",
}  # fmt: skip
#: What becomes of a secret. A value that a pseudonym stands for is none.
_OF_SECRETS: Final = frozenset({Action.DROPPED.value, Action.QUARANTINED.value})


@dataclass(frozen=True, slots=True)
class OpenLeaks:
    """The leaks of one drop day that nobody has handled.

    Attributes:
        drop_day: The UTC day of their landing files.
        count: How many.
        found_at: When the first of them was found; aware, UTC.
        newest: The number of the newest; later ones are larger.
    """

    drop_day: date
    count: int
    found_at: datetime
    newest: int


def note_leaks(session: Session, found: Iterable[tuple[date, str, LineFinding]], *, now: datetime) -> None:
    """Notes the secrets among findings that were never found before, inside the open transaction.

    Args:
        session: The warehouse, open for writing.
        found: Drop day, source file and finding.
        now: When they were found.
    """
    rows = [
        (day, source, one.line_number, one.sha256, one.rule, one.path)
        for day, source, one in found
        if one.action in _OF_SECRETS and one.rule not in NOT_SECRETS
    ]
    if rows:
        with session.given(given_leaks=Rows(_LEAKS, rows)):
            session.run(_PACKAGE, "note_leaks", {"now": naive_utc(now)})


def open_leaks(session: Session) -> list[OpenLeaks]:
    """Returns the leaks that nobody has handled, by drop day."""
    rows: list[dict[str, Any]] = session.rows(_PACKAGE, "open_leaks")
    return [
        OpenLeaks(row["drop_day"], row["leak_count"], row["found_at"].replace(tzinfo=UTC), row["newest_leak"])
        for row in rows
    ]


def handle_leaks(session: Session, drop_day: str, *, newest: int, now: datetime) -> None:
    """Marks the leaks of a drop day up to a number as handled; one that was found later stays open.

    Args:
        session: The warehouse, open for writing.
        drop_day: The UTC day, YYYY-MM-DD.
        newest: The largest number that is handled.
        now: When they were handled.
    """
    handled: dict[str, object] = {"drop_day": drop_day, "newest_leak": newest, "now": naive_utc(now)}
    session.run(_PACKAGE, "handle_leaks", handled)
