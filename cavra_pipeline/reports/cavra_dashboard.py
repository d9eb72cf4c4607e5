"""CAVRA's two dashboards (contract section 13): drill notifications, and whether final reporting can be closed.

Counts are CAVRA's: over the whole history, of the evidence that is held here. Our own are in ``dashboard.py`` and
``closure.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from cavra_pipeline.boundary.kinds import KIND_PREFIX, KINDS, PACKAGE_KIND
from cavra_pipeline.documents import PRODUCT, instant, naive_utc
from cavra_pipeline.lanes import APPROVED, CLOSED_STATES, FAILURE_SOURCES, LANES, SOURCE, Lane
from cavra_pipeline.reports.alert_dashboard import ARCHIVE_ALERTS, AlertSource, alert_dashboard
from cavra_pipeline.reports.cavra_items import ARCHIVE_SOURCE, PACKAGE, cavra_open_items
from cavra_pipeline.warehouse import Session

_PREFIX: Final = "acknowledgement_audit_delivery_"
_SCHEMA: Final = "cavra.go-backend-pilot.rollback-drill-"
_DRILLS: Final = "go-backend-rollback-drill-"
#: What the source of every delivery about rollback drills begins with.
_DRILL_SOURCES: Final = "go_backend_rollback_drill"
_RETENTION: Final = "final-reporting-closeout-retention-health"
#: Sources of audit deliveries and of what follows from them: those of lanes, and alerts whose deliveries have no lane.
_SOURCES: Final = tuple(
    dict.fromkeys(
        (
            *(lane.delivery_source for lane in LANES.values()),
            *FAILURE_SOURCES,
            ARCHIVE_SOURCE,
            f"{SOURCE}_{_RETENTION.replace('-', '_')}_alert",
        )
    )
)
#: Record types that are counted lane by lane.
_LADDER: Final = frozenset({"retry_plan", "worker_run", "execution", "health_report", "acknowledgement", "alert_plan"})
#: Kinds of which the envelope alone is stored, last parts: their records are counted, what they say is not known.
_ENVELOPES: Final = tuple(
    f"final-reporting-{name}"
    for name in (
        "release-readiness-summary", "operator-runbook-export", "release-readiness-approval-decision",
        "release-record-attachment", "release-closure-packet-verification", "readiness-bundle",
        "signed-archive-manifest",
    )
)  # fmt: skip
#: What such records would have to say.
_UNKNOWN: Final = (
    "final-reporting-release-ready", "final-reporting-release-readiness-approved",
    "final-reporting-release-closure-packet-verified", "final-reporting-archive-manifest-signed",
)  # fmt: skip
#: Counts over the records of one kind: name, last part of the kind, what is summed up.
_OF_KINDS: Final = (
    ("retry-execution-approved", "retry-execution-approval-decision", "approved_count"),
    ("connector-recovery-closed", "connector-recovery-closure", "closed_recovery_count"),
    ("recovery-escalation-route", "recovery-escalation-plan", "escalation_count"),
    ("worker-health-alert", "worker-health-alert-plan", "record_count"),
    ("final-reporting-archive-reference-health-alert", "final-reporting-archive-reference-health", "alert_count"),
    ("final-reporting-release-closeout-closed", "final-reporting-release-closeout-summary", "closed_closeout_count"),
    ("final-reporting-closeout-retention-review-approved", "final-reporting-closeout-retention-review-decision",
     "decided_count"),
    (f"{_RETENTION}-alert", _RETENTION, "alert_count"),
)  # fmt: skip
#: What to do about each of CAVRA's open items.
_ACTIONS: Final = {
    "executive_retry_health_alert_delivery_failed": "Have failed alerts about executive deliveries retried.",
    "executive_retry_health_alert_acknowledgement_outstanding": "Acknowledge the alerts about executive deliveries.",
    "executive_retry_health_alert_retry_execution_failed": "Review the failed retries of executive alerts.",
    "recovery_retry_health_alert_acknowledgement_outstanding": "Acknowledge the alerts about recovery retries.",
    "final_archive_health_alert_delivery_failed": "Have failed alerts about archive references sent again.",
    "final_archive_health_alert_acknowledgement_outstanding": "Acknowledge the alerts about archive references.",
}
#: The sorts of alert that final reporting looks at, by CAVRA's names.
FINAL_ALERTS: Final[Mapping[str, AlertSource]] = {
    "executive_retry_health_alert": AlertSource.of(LANES["executive_health_alert"]),
    "recovery_retry_health_alert": AlertSource.of(LANES["recovery_health_alert"]),
    "final_archive_health_alert": ARCHIVE_ALERTS,
}
_EXECUTIVE: Final = f"{_PREFIX}recovery_executive_report_delivery_retry_health_alert"
_RECOVERY: Final = f"{_PREFIX}recovery_escalation_retry_health_alert"
_ARCHIVE: Final = f"{_PREFIX}final_reporting_archive_reference_health_alert"
#: The summary's names, and the dashboard's.
_SUMMARY: Final = {
    "executive_retry_health_alert_plan_count": f"{_EXECUTIVE}_plan_count",
    "executive_retry_health_alert_ack_count": f"{_EXECUTIVE}_ack_count",
    "executive_retry_health_alert_delivery_failed_count": f"failed_{_EXECUTIVE}_delivery_count",
    "executive_retry_health_alert_retry_plan_count": f"{_EXECUTIVE}_delivery_retry_plan_count",
    "executive_retry_health_alert_retry_worker_run_count": f"{_EXECUTIVE}_delivery_retry_worker_run_count",
    "executive_retry_health_alert_retry_execution_failed_count": f"{_EXECUTIVE}_delivery_retry_execution_failed_count",
    "recovery_retry_health_alert_retry_worker_run_count": f"{_RECOVERY}_delivery_retry_worker_run_count",
    "recovery_retry_health_alert_retry_execution_failed_count": f"{_RECOVERY}_delivery_retry_execution_failed_count",
    "final_archive_health_alert_plan_count": f"{_ARCHIVE}_plan_count",
    "final_archive_health_alert_ack_count": f"{_ARCHIVE}_ack_count",
    "final_archive_health_alert_delivery_failed_count": f"failed_{_ARCHIVE}_delivery_count",
}

_Rows = Sequence[Mapping[str, Any]]


def notification_dashboard(session: Session, *, as_of: datetime) -> dict[str, Any]:
    """Returns the dashboard of drill notifications and of all that follows from their audit deliveries.

    Args:
        session: An open warehouse.
        as_of: Records created later do not exist for it.

    Returns:
        The level and the counts. What CAVRA would read in fields that are not stored here is None.
    """
    at = naive_utc(as_of)
    rows = session.rows(PACKAGE, "kind_counts", {"as_of": at, "approved": APPROVED, "closed": list(CLOSED_STATES)})
    deliveries = [row for row in rows if str(row["delivery_source"]).startswith(_DRILL_SOURCES)]
    failed = _total(deliveries, "failed_delivery_count")
    plans = _total(rows, metadata_kind=f"{_DRILLS}notification-plan")
    audits = [row for row in deliveries if row["delivery_source"] == SOURCE]
    tried, lost = _total(audits), _total(audits, "failed_delivery_count")
    parameters: dict[str, object] = {"plan_kind": f"{KIND_PREFIX}plan", "source": SOURCE, "as_of": at}
    return {
        "schema_version": f"{_SCHEMA}notification-dashboard.v1",
        "product": PRODUCT,
        "generated_at": instant(as_of),
        "alert_level": "critical" if failed else "healthy",
        "plan_count": plans,
        "delivery_count": _total(deliveries),
        "notification_delivery_count": _total(rows, delivery_source=f"{_DRILL_SOURCES}_notification"),
        "failed_delivery_count": failed,
        "acknowledgement_count": _total(rows, metadata_kind=f"{_DRILLS}notification-ack"),
        "acknowledgement_audit_package_count": _total(rows, metadata_kind=PACKAGE_KIND),
        f"{_PREFIX}success_count": tried - lost,
        f"{_PREFIX}success_rate": round((tried - lost) / tried, 4) if tried else None,
        f"{_PREFIX}providers": [row["provider"] for row in session.rows(PACKAGE, "audit_providers", parameters)],
        f"{_PREFIX}health": "critical" if lost else "healthy",
        **_counts(rows),
        # A notification plan is stored by its envelope: which acknowledgements it requires is not known.
        "outstanding_acknowledgement_count": None if plans else 0,
        "outstanding_acknowledgements": [],
    }


def _total(rows: _Rows, name: str = "record_count", **where: object) -> int:
    return sum(row[name] for row in rows if all(row[key] == value for key, value in where.items()))


def _named(name: str) -> str:
    return f"{_PREFIX}{name.replace('-', '_')}_count"


def _counts(rows: _Rows) -> dict[str, int | None]:
    counts: dict[str, int | None] = {}
    for source in _SOURCES:
        about = source.removeprefix(SOURCE).removeprefix("_")
        name = _named(f"{about}-delivery") if about else f"{_PREFIX}count"
        counts[name] = _total(rows, delivery_source=source)
        counts[f"failed_{name}"] = _total(rows, "failed_delivery_count", delivery_source=source)
    for lane in LANES.values():
        counts |= {_named(name): count for name, count in _of_lane(lane, rows)}
    for stem in _kinds_alone():
        counts[_named(stem)] = _total(rows, metadata_kind=KIND_PREFIX + stem)
    for name, stem, summed in _OF_KINDS:
        counts[_named(name)] = _total(rows, summed, metadata_kind=KIND_PREFIX + stem)
    runs = {"lane": "acknowledgement_audit", "record_type": "worker_run"}
    dry = _total(rows, "dry_run_count", **runs)
    counts |= {_named("worker-dry-run"): dry, _named("worker-executed"): _total(rows, **runs) - dry}
    return counts | {_named(name): None for name in _UNKNOWN}


def _of_lane(lane: Lane, rows: _Rows) -> Iterator[tuple[str, int]]:
    """Counts of a retry ladder; CAVRA calls each by the kind of its executions."""
    lane_rows = [row for row in rows if row["lane"] == lane.name]
    ladder = lane.kinds.execution.removesuffix("retry-execution-record")
    yield f"{ladder}retry-plan", _total(lane_rows, record_type="retry_plan")
    yield f"{ladder}retryable", _total(lane_rows, "retryable_count", record_type="retry_plan")
    yield lane.kinds.worker_run, _total(lane_rows, record_type="worker_run")
    yield lane.kinds.execution, _total(lane_rows, record_type="execution")
    yield f"{ladder}retry-execution-success", _total(lane_rows, "delivered_execution_count")
    yield f"{ladder}retry-execution-failed", _total(lane_rows, "failed_execution_count")
    if lane.acknowledgement_kind:
        yield lane.acknowledgement_kind, _total(lane_rows, record_type="acknowledgement")
    if lane.cavra and lane.cavra.health:
        yield lane.kinds.health, _total(lane_rows, record_type="health_report")
        yield f"{lane.kinds.health}-alert", _total(lane_rows, "alert_count", record_type="health_report")
    if lane.alerts_of:
        yield f"{lane.kind_stem}-plan", _total(lane_rows, record_type="alert_plan")


def _kinds_alone() -> Iterator[str]:
    """Last parts of the kinds that are no part of a lane's ladder."""
    for kind in KINDS.values():
        if kind.name.startswith(KIND_PREFIX) and not (kind.lane and kind.record_type in _LADDER):
            yield kind.name.removeprefix(KIND_PREFIX)
    yield from _ENVELOPES


def closure_dashboard(session: Session, *, as_of: datetime) -> dict[str, Any]:
    """Returns whether final reporting can be closed, as CAVRA says it over all records; what failed once stays open.

    Args:
        session: An open warehouse.
        as_of: Records created later do not exist for it.

    Returns:
        State, level, open items, the dashboards of the alerts that final reporting looks at, and a summary. Whether
        anything is open now says ``closure_reports``.
    """
    counts = notification_dashboard(session, as_of=as_of)
    (items,) = cavra_open_items(session, [naive_utc(as_of)])
    return {
        "schema_version": f"{_SCHEMA}final-reporting-closure-dashboard.v1",
        "product": PRODUCT,
        "generated_at": instant(as_of),
        "closure_state": "open" if items else "closed",
        "alert_level": "critical" if items else "healthy",
        "open_item_count": len(items),
        "open_items": items,
        **{name: alert_dashboard(session, alerts, as_of=as_of) for name, alerts in FINAL_ALERTS.items()},
        "summary": {name: counts[theirs] for name, theirs in _SUMMARY.items()},
        "recommended_actions": [_ACTIONS[item] for item in items],
    }
