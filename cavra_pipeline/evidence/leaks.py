"""Leaks: every secret that was found, once, noted in the state with the commit that found it (contract section 3).

What becomes of a leak is ``alerts.leaks``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any, Final

import sqlalchemy as sa

from cavra_pipeline.boundary.verdict import NOT_SECRETS
from cavra_pipeline.settings import Settings
from cavra_pipeline.state import state_of
from cavra_pipeline.state.tables import leaks
from cavra_pipeline.warehouse import Session

_PACKAGE: Final = "cavra_pipeline.evidence"
#: Whether a finding is a secret, in SQL: a value that a pseudonym stands for is none.
LEAKED: Final = "(action IN ('dropped', 'quarantined') AND NOT list_contains($not_secrets::VARCHAR[], rule))"


def found_secrets(session: Session, *, after: int = 0) -> list[dict[str, Any]]:
    """Lists each secret that commits after a number have found: ``leak_id``, landing day, rule, when it was found.

    The id is made of the line's digest, the rule and the path; where no digest is known, of the place of the line.
    """
    parameters: dict[str, object] = {"not_secrets": sorted(NOT_SECRETS), "after": after + 1 if after else 0}
    rows = session.rows(_PACKAGE, "found_secrets", parameters, is_secret=LEAKED)
    return [{**row, "found_at": row["found_at"].replace(tzinfo=UTC)} for row in rows]  # type: ignore[attr-defined]


def note_leaks(connection: sa.Connection, secrets: Iterable[Mapping[str, Any]]) -> None:
    """Stores, in the open transaction of the state, those of the secrets that were never found before."""
    rows = [dict(secret) for secret in secrets]
    if rows:
        stored_ids = set(connection.scalars(sa.select(leaks.c.leak_id)))
        if new := [row for row in rows if row["leak_id"] not in stored_ids]:
            connection.execute(sa.insert(leaks), new)


def open_leak_days(settings: Settings, at: datetime) -> dict[date, int]:
    """Returns how many secrets in evidence up to the UTC day of an instant no one had handled by then, by landing day.

    A secret that is found later counts on its own day, as its finding does.
    """
    query = (
        sa.select(leaks.c.drop_day, sa.func.count())
        .where(leaks.c.drop_day <= at.astimezone(UTC).date(), leaks.c.handled_at.is_(None) | (leaks.c.handled_at > at))
        .group_by(leaks.c.drop_day)
        .order_by(leaks.c.drop_day)
    )
    with state_of(settings).reading() as c:
        return {day: int(number) for day, number in c.execute(query)}
