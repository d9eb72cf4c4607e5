"""What a report asks of the whole evidence, for many instants in one pass; its window is asked elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from cavra_pipeline.documents import ascending
from cavra_pipeline.lanes import LANES
from cavra_pipeline.recoveries.intervals import RECOVERIES
from cavra_pipeline.retention.horizon import PACKAGE as RETENTION
from cavra_pipeline.retention.horizon import require_answerable
from cavra_pipeline.warehouse import Session

_PACKAGE: Final = "cavra_pipeline.executive"
_NOTHING: Final[Mapping[str, Any]] = {
    "evidence_record_count": 0,
    "future_record_count": 0,
    "latest_record_at": None,
}


@dataclass(frozen=True, slots=True)
class Standing:
    """The evidence at an instant.

    Attributes:
        lanes: By lane: ``evidence_record_count``, ``future_record_count``, ``latest_record_at``; lanes without any are
            left out.
        unplanned_failure_count: Failing pairs of recoveries that no escalation plan names.
        pruned_spell_count: Closed spells of recoveries that were pruned.
    """

    lanes: Mapping[str, Mapping[str, Any]]
    unplanned_failure_count: int
    pruned_spell_count: int

    def of(self, lane: str) -> Mapping[str, Any]:
        """Returns what there is of a lane."""
        return self.lanes.get(lane, _NOTHING)


def standings(session: Session, instants: Sequence[datetime]) -> dict[datetime, Standing]:
    """Returns the evidence at each instant, by the instant in UTC without a zone.

    Raises:
        UsageError: The evidence of an instant has been pruned.
    """
    require_answerable(session, instants)
    moments = ascending(instants)
    lanes: list[dict[str, Mapping[str, Any]]] = [{} for _ in moments]
    for row in session.rows(_PACKAGE, "lane_extents", {"instants": moments}):
        lanes[int(str(row.pop("number"))) - 1][str(row.pop("lane"))] = row
    unplanned = session.rows(_PACKAGE, "unplanned_failures", {"lane": RECOVERIES.name, "instants": moments})
    pruned = int(str(session.rows(RETENTION, "closed_spell_count")[0]["closed_spell_count"]))
    return {
        at: Standing(known, int(str(row["unplanned_failure_count"])), pruned)
        for at, known, row in zip(moments, lanes, unplanned, strict=True)
    }


def failing_providers(session: Session, instants: Sequence[datetime]) -> dict[datetime, list[dict[str, Any]]]:
    """Returns the providers at which deliveries are failing at each instant: lane by lane, each sorted by provider."""
    moments = ascending(instants)
    failing: dict[datetime, list[dict[str, Any]]] = {at: [] for at in moments}
    for lane in LANES.values():
        for row in session.rows(_PACKAGE, "failing_providers", {"lane": lane.name, "instants": moments}):
            failing[moments[int(str(row.pop("number"))) - 1]].append({**row, "lane": lane.name})
    return failing
