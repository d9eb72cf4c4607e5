"""Cause of a provider's failures, by their HTTP statuses (contract section 14)."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any, Final

from cavra_pipeline.lanes import FAILURE_SOURCES, LOOKBACK_HOURS
from cavra_pipeline.recoveries.history import PACKAGE, Recovery
from cavra_pipeline.warehouse import Session

UNKNOWN: Final = "unknown"
MIXED: Final = "mixed"
#: Causes by the statuses from and to which each goes; the first that fits.
CAUSES: Final = (
    ("credentials", (401, 401)),
    ("credentials", (403, 403)),
    ("gone", (404, 404)),
    ("gone", (410, 410)),
    ("throttled", (429, 429)),
    ("server_error", (500, 599)),
    ("no_answer", (0, 0)),
    ("refused", (200, 299)),
    ("rejected", (400, 499)),
)


def cause_of(status_codes: Collection[int | None]) -> str:
    """Returns the one cause of failures with these statuses, ``mixed`` if they differ, ``unknown`` if there are none.

    Args:
        status_codes: Statuses; 0 or None for a failure without an answer.
    """
    causes = {_cause(code or 0) for code in status_codes}
    return causes.pop() if len(causes) == 1 else MIXED if causes else UNKNOWN


def _cause(code: int) -> str:
    return next((cause for cause, (low, high) in CAUSES if low <= code <= high), MIXED)


class Causes:
    """The causes of recoveries that opened up to an instant."""

    def __init__(self, session: Session, until: datetime) -> None:
        """Reads the statuses of the failures behind each recovery; the instant is in UTC without a zone."""
        parameters: dict[str, object] = {
            "sources": FAILURE_SOURCES,
            "until": until,
            "lookback_hours": LOOKBACK_HOURS,
        }
        rows: list[dict[str, Any]] = session.rows(PACKAGE, "failure_codes", parameters)
        self._causes = {
            (row["opened_at"], row["playbook_id"], row["provider"]): cause_of(row["status_codes"]) for row in rows
        }

    def of(self, recovery: Recovery) -> str:
        """Returns the cause of a recovery."""
        return self._causes.get((recovery.opened_at, recovery.playbook_id, recovery.provider), UNKNOWN)
