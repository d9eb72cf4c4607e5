"""Approvals of live retries (contract section 4): the newest decision on a pair counts, and a delivery uses it up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from cavra_pipeline.lanes import APPROVED, Lane
from cavra_pipeline.warehouse import Session

_PACKAGE: Final = "cavra_pipeline.reports"
_Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Approvals:
    """What was decided of each (subject, provider) pair and what was delivered of it, in order."""

    _events: dict[_Pair, list[dict[str, Any]]] = field(default_factory=dict)

    def at(self, pair: _Pair, moment: datetime) -> tuple[str | None, bool]:
        """Returns the pair's newest approval state at an instant, in UTC without a zone, and whether it is approved."""
        is_used = False
        for event in reversed(self._events.get(pair, ())):
            if event["created_at"] > moment:
                continue
            if event["approval_state"] is not None:
                return event["approval_state"], event["approval_state"] == APPROVED and not is_used
            is_used = True
        return None, False


def approvals(session: Session, lane: Lane, instants: Sequence[datetime], subjects: Iterable[str]) -> Approvals:
    """Reads the approvals of some subjects of a lane up to the last of ascending instants."""
    events: dict[_Pair, list[dict[str, Any]]] = {}
    parameters: dict[str, object] = {"lane": lane.name, "until": instants[-1], "subjects": sorted(set(subjects))}
    for row in session.rows(_PACKAGE, "approvals", parameters):
        events.setdefault((str(row["subject"]), str(row["provider"])), []).append(row)
    return Approvals(events)
