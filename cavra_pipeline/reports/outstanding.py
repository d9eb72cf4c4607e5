"""Health alerts that no one has acknowledged, whether or not their deliveries have a lane (contract section 7)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from cavra_pipeline.boundary.kinds import KIND_PREFIX
from cavra_pipeline.lanes import ANSWERING_STATES, Lane
from cavra_pipeline.warehouse import Session

_PACKAGE: Final = "cavra_pipeline.reports"
_OF_PAIR: Final = ("health_id", "provider", "acknowledgement_state")


@dataclass(frozen=True, slots=True)
class AlertKinds:
    """The kinds that route and acknowledge one sort of health alert: their full names."""

    plan: str
    acknowledgement: str

    @classmethod
    def named(cls, stem: str) -> AlertKinds:
        """Returns the kinds whose last parts are this stem, and ``-plan`` or ``-ack``."""
        return cls(f"{KIND_PREFIX}{stem}-plan", f"{KIND_PREFIX}{stem}-ack")

    @classmethod
    def of(cls, lane: Lane) -> AlertKinds | None:
        """Returns the kinds of a lane that delivers alerts; None for another."""
        return cls.named(lane.kind_stem) if lane.alerts_of else None


def outstanding_counts(session: Session, kinds: AlertKinds | None, instants: Sequence[datetime]) -> list[int]:
    """Counts the pairs of a health report and a provider that no one has acknowledged, at each instant.

    Args:
        session: An open warehouse.
        kinds: The sort of alert; None: nothing is to be acknowledged.
        instants: Ascending, without repeats, UTC without a zone.
    """
    counts = Counter(int(str(row["number"])) for row in _rows(session, kinds, instants))
    return [counts[number] for number in range(1, len(instants) + 1)]


def outstanding_pairs(session: Session, kinds: AlertKinds | None, at: datetime) -> list[dict[str, Any]]:
    """Lists the pairs that `outstanding_counts` counts at an instant, UTC without a zone.

    Returns:
        Rows with ``health_id``, ``provider`` and ``acknowledgement_state`` (None where nothing was said).
    """
    return [{name: row[name] for name in _OF_PAIR} for row in _rows(session, kinds, [at])]


def _rows(session: Session, kinds: AlertKinds | None, instants: Sequence[datetime]) -> list[dict[str, Any]]:
    if kinds is None:
        return []
    parameters: dict[str, object] = {
        "plan_kind": kinds.plan,
        "acknowledgement_kind": kinds.acknowledgement,
        "answering": ANSWERING_STATES,
        "instants": list(instants),
    }
    rows: list[dict[str, Any]] = session.rows(_PACKAGE, "outstanding_acknowledgements", parameters)
    return rows
