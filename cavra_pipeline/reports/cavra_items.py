"""CAVRA's own open items, as its final reporting dashboard lists them over all records (contract section 12).

What failed once stays on that list for ever; it stands beside our own items because people compare the two. The item
that CAVRA's dashboard never sets is left out.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from cavra_pipeline.lanes import ANSWERING_STATES, LANES, SOURCE
from cavra_pipeline.reports.outstanding import AlertKinds
from cavra_pipeline.warehouse import Session

PACKAGE: Final = "cavra_pipeline.reports"
#: Archive-reference health alerts, whose deliveries have no lane.
ARCHIVE: Final = AlertKinds.named("final-reporting-archive-reference-health-alert")
ARCHIVE_SOURCE: Final = SOURCE + "_final_reporting_archive_reference_health_alert"
_EXECUTIVE: Final = LANES["executive_health_alert"]
_RECOVERY: Final = LANES["recovery_health_alert"]

_IsOpen = Callable[[datetime], bool]


def cavra_open_items(session: Session, instants: Sequence[datetime]) -> list[list[str]]:
    """Returns the names of CAVRA's open items at each instant, in CAVRA's order.

    Args:
        session: An open warehouse.
        instants: Ascending instants, UTC without a zone.
    """
    until = instants[-1]
    executive, recovery = AlertKinds.named(_EXECUTIVE.kind_stem), AlertKinds.named(_RECOVERY.kind_stem)
    items: dict[str, _IsOpen] = {
        "executive_retry_health_alert_delivery_failed": _delivery_failed(session, _EXECUTIVE.delivery_source, until),
        "executive_retry_health_alert_acknowledgement_outstanding": _outstanding(session, executive, until),
        "executive_retry_health_alert_retry_execution_failed": _since(
            session, "first_failed_execution", {"lane": _EXECUTIVE.name, "until": until}
        ),
        "recovery_retry_health_alert_acknowledgement_outstanding": _outstanding(
            session, recovery, until, is_newest_only=True
        ),
        "final_archive_health_alert_delivery_failed": _delivery_failed(session, ARCHIVE_SOURCE, until),
        "final_archive_health_alert_acknowledgement_outstanding": _outstanding(session, ARCHIVE, until),
    }
    return [[name for name, is_open in items.items() if is_open(at)] for at in instants]


def _delivery_failed(session: Session, source: str, until: datetime) -> _IsOpen:
    return _since(session, "first_failed_delivery", {"source": source, "until": until})


def _since(session: Session, statement: str, parameters: dict[str, object]) -> _IsOpen:
    failed_at = session.rows(PACKAGE, statement, parameters)[0]["failed_at"]
    return lambda at: isinstance(failed_at, datetime) and failed_at <= at


def _outstanding(session: Session, kinds: AlertKinds, until: datetime, *, is_newest_only: bool = False) -> _IsOpen:
    """CAVRA takes any acknowledgement that was ever given, and of some alerts counts every plan."""
    parameters: dict[str, object] = {
        "plan_kind": kinds.plan,
        "acknowledgement_kind": kinds.acknowledgement,
        "answering": ANSWERING_STATES,
        "is_newest_only": is_newest_only,
        "until": until,
    }
    spans = list(session.stream(PACKAGE, "unanswered_spans", parameters))
    started = sorted(span["started_at"] for span in spans)
    ended = sorted(span["ended_at"] for span in spans if span["ended_at"] is not None)
    return lambda at: bisect_right(started, at) > bisect_right(ended, at)
