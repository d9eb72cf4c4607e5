"""The closure report (contract section 12): what is open now, and beside it what CAVRA's own dashboard lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from cavra_pipeline.boundary.judge import actor_label
from cavra_pipeline.documents import DEFAULT_GENERATED_BY, PRODUCT, ascending, identify, instant, naive_utc
from cavra_pipeline.evidence.rows import subject_of
from cavra_pipeline.lanes import LANES, Gate
from cavra_pipeline.recoveries.history import RecoveryParameters
from cavra_pipeline.recoveries.report import recovery_reports
from cavra_pipeline.reports.cavra_items import ARCHIVE, ARCHIVE_SOURCE, PACKAGE, cavra_open_items
from cavra_pipeline.reports.health import health_of_lanes
from cavra_pipeline.reports.outstanding import outstanding_counts
from cavra_pipeline.warehouse import Session

#: What the items of archive-reference health alerts are called by, beside the names of lanes.
_ARCHIVE_NAME: Final = "archive_reference_health_alert"
#: The items of a closure report by the end of their names; what stands before it says where.
ITEM_WORDS: Final = {
    "unresolved_delivery": "failing deliveries",
    "unresolved_failed_execution": "failed or skipped retries",
    "acknowledgement_outstanding": "open health alerts",
    "open_recovery": "open recoveries",
    "acknowledgement_gap": "acknowledgement gaps",
}
#: What of an alert lane's health report keeps the loop open: item, field.
_OF_ALERTS: Final = (
    ("unresolved_delivery", "unresolved_delivery_count"),
    ("unresolved_failed_execution", "unresolved_failed_execution_count"),
    ("acknowledgement_outstanding", "outstanding_alert_acknowledgement_count"),
)


def closure_reports(
    session: Session, *, instants: Sequence[datetime], now: datetime, generated_by: str = DEFAULT_GENERATED_BY
) -> list[dict[str, Any]]:
    """Makes the closure report as of each instant.

    Args:
        session: An open warehouse.
        instants: Records created after one do not exist for its report.
        now: When the reports are made; only ``generated_at`` shows it.
        generated_by: Actor label of who asked.

    Returns:
        A report for each instant, in the order of the instants.

    Raises:
        UsageError: The label is not public-safe, or evidence of an instant has been pruned.
    """
    generated_by = actor_label(generated_by, where="generated_by")
    ascending_instants = ascending(instants)
    if not ascending_instants:
        return []
    moments = [at.replace(tzinfo=UTC) for at in ascending_instants]
    health = health_of_lanes(session, instants=moments, now=now)
    recoveries = recovery_reports(session, RecoveryParameters(), instants=moments, now=now)
    made_by = {"generated_at": instant(now), "generated_by": generated_by}
    reports = closures_of(session, health, recoveries, instants=ascending_instants, made_by=made_by)
    return [reports[ascending_instants.index(naive_utc(at))] for at in instants]


def closures_of(
    session: Session,
    health: Mapping[str, Sequence[Mapping[str, Any]]],
    recoveries: Sequence[Mapping[str, Any]],
    *,
    instants: Sequence[datetime],
    made_by: Mapping[str, object],
) -> list[dict[str, Any]]:
    """Makes the closure report of each instant from the health and recovery reports that are made already.

    Args:
        session: An open warehouse.
        health: By lane, its health report as of each instant.
        recoveries: The recovery report as of each instant.
        instants: Ascending instants, UTC without a zone.
        made_by: ``generated_at`` and ``generated_by``.
    """
    archive = _unresolved_archive_deliveries(session, instants)
    unanswered = outstanding_counts(session, ARCHIVE, instants)
    theirs = cavra_open_items(session, instants)
    reports = []
    for n, at in enumerate(instants):
        of_lanes = {name: of_lane[n] for name, of_lane in health.items()}
        items = {
            **_alert_items(of_lanes),
            f"{_ARCHIVE_NAME}_unresolved_delivery": archive[n],
            f"{_ARCHIVE_NAME}_acknowledgement_outstanding": unanswered[n],
            "open_recovery": recoveries[n]["recovery_open_count"],
            **_gap_items(of_lanes),
        }
        reports.append(_report(items, theirs[n], of_lanes, at, made_by))
    return reports


def _report(
    counts: Mapping[str, int],
    theirs: Sequence[str],
    health: Mapping[str, Mapping[str, Any]],
    at: datetime,
    made_by: Mapping[str, object],
) -> dict[str, Any]:
    items = [{"item": name, "count": count} for name, count in counts.items() if count]
    report: dict[str, Any] = {
        "schema_version": "cavra-pipeline.closure.v1",
        "product": PRODUCT,
        "closure_report_id": "",
        "as_of": instant(at),
        **made_by,
        "alert_level": "warning" if items else "healthy",
        "closure_state": "open" if items else "closed",
        "open_item_count": len(items),
        "open_items": items,
        "cavra_open_items": list(theirs),
        "evidence_record_count": sum(lane["evidence_record_count"] for lane in health.values()),
        "future_record_count": sum(lane["future_record_count"] for lane in health.values()),
    }
    return {**report, "closure_report_id": identify("closure", report)}


def _alert_items(health: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    return {
        f"{lane.name}_{item}": health[lane.name][field]
        for lane in LANES.values()
        if lane.alerts_of
        for item, field in _OF_ALERTS
    }


def _gap_items(health: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    waiting = (lane.name for lane in LANES.values() if lane.gate is Gate.ACKNOWLEDGEMENT)
    return {"acknowledgement_gap": sum(health[name]["acknowledgement_pending_count"] for name in waiting)}


def _unresolved_archive_deliveries(session: Session, instants: Sequence[datetime]) -> list[int]:
    """Counts at each instant the pairs of an archive-reference health report and a provider that nothing reached."""
    pairs: list[dict[str, Any]] = session.rows(
        PACKAGE,
        "archive_pairs",
        {"source": ARCHIVE_SOURCE, "until": instants[-1]},
        subject=subject_of(("health_id", "event_id")),
    )
    return [
        sum(pair["tried_at"] <= at and (pair["arrived_at"] is None or pair["arrived_at"] > at) for pair in pairs)
        for at in instants
    ]
