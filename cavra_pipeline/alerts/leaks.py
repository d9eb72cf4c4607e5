"""Open leaks: every secret that was found, once (``evidence.leaks``), until a person has handled its alert.

A leak outlives its file, its finding, the warehouse and the window of any report: only ``handle_leaks`` ends it. Each
function runs inside the caller's transaction on the state database.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

import sqlalchemy as sa

from cavra_pipeline.state.tables import leaks


@dataclass(frozen=True, slots=True)
class OpenLeaks:
    """The leaks of one landing day that no one has handled.

    Attributes:
        drop_day: The UTC day of their landing files.
        count: How many.
        found_at: When the first of them was found.
        newest: The number of the newest; later ones are larger.
    """

    drop_day: date
    count: int
    found_at: datetime
    newest: int


def open_leaks(c: sa.Connection) -> list[OpenLeaks]:
    """Returns the leaks that no one has handled, by landing day."""
    query = (
        sa.select(leaks.c.drop_day, sa.func.count(), sa.func.min(leaks.c.found_at), sa.func.max(leaks.c.leak_number))
        .where(leaks.c.handled_at.is_(None))
        .group_by(leaks.c.drop_day)
        .order_by(leaks.c.drop_day)
    )
    return [OpenLeaks(*row) for row in c.execute(query)]


def handle_leaks(c: sa.Connection, drop_day: str, *, newest: int, now: datetime) -> None:
    """Marks the leaks of a landing day up to a number as handled; one that was found later stays open.

    Args:
        c: The state database, open for writing.
        drop_day: The UTC day, YYYY-MM-DD.
        newest: The largest number that is handled.
        now: When they were handled.
    """
    handled = (
        leaks.c.handled_at.is_(None)
        & (leaks.c.drop_day == date.fromisoformat(drop_day))
        & (leaks.c.leak_number <= newest)
    )
    c.execute(sa.update(leaks).where(handled).values(handled_at=now))
