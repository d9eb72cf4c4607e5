"""Executions that are unresolved (contract section 7): a pair's newest failed or was skipped, and nothing closed it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from cavra_pipeline.lanes import CLOSING_STATES, Lane
from cavra_pipeline.sql import literal
from cavra_pipeline.warehouse import Session

_PACKAGE: Final = "cavra_pipeline.reports"

#: How many pairs by provider and by why their execution was skipped; the reason is empty where it failed.
Unresolved = Mapping[tuple[str, str], int]


def unresolved_executions(
    session: Session, lane: Lane, instants: Sequence[datetime], *, watched: str = "watched_records"
) -> list[Unresolved]:
    """Counts the pairs of a lane whose executions are unresolved, at each instant.

    Args:
        session: An open warehouse.
        lane: The retry ladder.
        instants: Ascending instants, UTC without a zone, that one statement may answer together (``stretches``).
        watched: The table that holds the watched records.
    """
    counts: list[Counter[tuple[str, str]]] = [Counter() for _ in instants]
    for row in _rows(session, lane, instants, watched, is_by_subject=False):
        for counted in counts[row["first_seen"] - 1 : row["last_seen"]]:
            counted[row["provider"], row["reason"]] += row["execution_count"]
    return list(counts)


def unresolved_pairs(session: Session, lane: Lane, at: datetime) -> list[dict[str, Any]]:
    """Lists the pairs of a lane whose executions are unresolved at an instant, UTC without a zone.

    Returns:
        Rows with ``subject``, ``provider``, ``reason`` (empty where the execution failed), ``failed_at`` (when it did)
        and ``execution_count``, which is 1.
    """
    return _rows(session, lane, [at], "watched_records", is_by_subject=True)


def _rows(
    session: Session, lane: Lane, instants: Sequence[datetime], watched: str, *, is_by_subject: bool
) -> list[dict[str, Any]]:
    parameters: dict[str, object] = {
        "lane": lane.name,
        "instants": list(instants),
        "closing": CLOSING_STATES,
        "is_by_subject": is_by_subject,
    }
    rows: list[dict[str, Any]] = session.rows(_PACKAGE, "unresolved_executions", parameters, watched=literal(watched))
    return rows


def by_reason(unresolved: Unresolved) -> dict[str, int]:
    """Adds the counts of all providers up, by reason."""
    return dict(_summed(unresolved, 1))


def by_provider(unresolved: Unresolved) -> dict[str, int]:
    """Adds the counts of all reasons up, by provider."""
    return dict(_summed(unresolved, 0))


def _summed(unresolved: Unresolved, place: int) -> Counter[str]:
    total: Counter[str] = Counter()
    for key, count in unresolved.items():
        total[key[place]] += count
    return total
