"""One screen about a home: how fresh the evidence is, how each lane stands, what is open. Only from other reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from cavra_pipeline.documents import instant, naive_utc, shifted, whole_minutes
from cavra_pipeline.lanes import LANES, Lane
from cavra_pipeline.recoveries.history import RecoveryParameters
from cavra_pipeline.recoveries.report import recovery_reports
from cavra_pipeline.reports.glance import lane_at_a_glance
from cavra_pipeline.reports.health import UNKNOWN, alert_level, health_of_lanes
from cavra_pipeline.reports.incidents import incident_reports
from cavra_pipeline.warehouse import Session

_PACKAGE: Final = "cavra_pipeline.reports"
_OF_RECOVERIES: Final = ("recovery_open_count", "recovery_slo_breached_count", "recovery_slo_minutes")
#: No command clears what was quarantined or found, so it counts for as long as it is news, by UTC days.
_NEWS: Final = timedelta(days=7)


def overview(session: Session, *, as_of: datetime, now: datetime) -> dict[str, Any]:
    """Returns how a home stands at an instant, as far as its warehouse knows.

    Args:
        session: An open warehouse.
        as_of: The instant.
        now: When it is asked for.

    Returns:
        ``evidence`` (counts, of the last week too, newest record and its age in whole minutes), ``lanes`` (those in use
        at a glance, by name, each with its ``worst_alert``), ``incidents`` (open ones), ``recoveries`` (counts),
        ``alert_level`` of the worst lane.
    """
    lanes = {
        name: _lane(session, LANES[name], health, as_of, now)
        for name, (health,) in health_of_lanes(session, instants=[as_of], now=now).items()
        if health["alert_level"] != UNKNOWN
    }
    (incidents,) = incident_reports(session, instants=[as_of], now=now, is_open=True)
    (recoveries,) = recovery_reports(session, RecoveryParameters(), instants=[as_of], now=now)
    (newest_evidence,) = session.rows(_PACKAGE, "newest_evidence", {"as_of": naive_utc(as_of)})
    before, boundary = session.rows(
        _PACKAGE, "boundary_counts", {"instants": [naive_utc(shifted(as_of, -_NEWS)), naive_utc(as_of)]}
    )
    newest = newest_evidence["newest_record_at"]
    age = naive_utc(as_of) - newest if isinstance(newest, datetime) else None
    return {
        "as_of": instant(as_of),
        "alert_level": alert_level([str(lane["alert_level"]) for lane in lanes.values()]),
        "evidence": {
            "record_count": newest_evidence["record_count"],
            "newest_record_at": instant(newest),
            "newest_record_age_minutes": None if age is None else whole_minutes(age),
            "news_since": shifted(as_of, timedelta(days=1) - _NEWS).date().isoformat(),
            "week_quarantined_count": _increase("quarantined_record_count", before, boundary),
            "week_finding_count": _increase("redaction_finding_count", before, boundary),
        },
        "lanes": lanes,
        "incidents": incidents["incidents"],
        "recoveries": {name: recoveries[name] for name in _OF_RECOVERIES},
    }


def _increase(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> int:
    return int(after[name]) - int(before[name])


@dataclass(frozen=True, slots=True)
class Extent:
    """How far back a home's evidence goes, as an instant sees it.

    Attributes:
        record_count: The records up to the instant.
        oldest_at: The first record of all, which is later then; None in a home without evidence.
    """

    record_count: int
    oldest_at: str | None

    @property
    def is_empty(self) -> bool:
        """Whether there is no record up to the instant."""
        return not self.record_count


def extent(session: Session, at: datetime) -> Extent:
    """Returns how much evidence there is at an instant, and since when there is any."""
    (evidence,) = session.stream(_PACKAGE, "newest_evidence", {"as_of": naive_utc(at)})
    return Extent(evidence["record_count"], instant(evidence["oldest_record_at"]))


def _lane(session: Session, lane: Lane, health: Mapping[str, Any], as_of: datetime, now: datetime) -> dict[str, Any]:
    glance = lane_at_a_glance(session, lane, health, as_of=as_of, now=now)
    # The report lists its alerts in the contract's order; the first of its own level is the worst.
    worst = (alert for alert in glance["alerts"] if alert["severity"] == glance["alert_level"])
    return {**glance, "worst_alert": next(worst, None)}
