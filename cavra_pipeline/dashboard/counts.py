"""Counts of everything the pipeline watches, as of an instant."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from cavra_pipeline.documents import PRODUCT, identify, instant, naive_utc
from cavra_pipeline.health.report import alert_level, health_parameters, retry_health
from cavra_pipeline.lanes import LANES
from cavra_pipeline.warehouse import Session

_PACKAGE: Final = "cavra_pipeline.dashboard"
_COUNTS: Final = (
    "evidence_record_count",
    "health_report_count",
    "health_alert_count",
    "retry_plan_count",
    "retryable_count",
    "dry_worker_run_count",
    "live_worker_run_count",
    "delivered_execution_count",
    "failed_execution_count",
    "skipped_execution_count",
)


def dashboard(session: Session, *, as_of: datetime, now: datetime) -> dict[str, Any]:
    """Counts per lane and over all lanes (contract section 9).

    Args:
        session: An open warehouse.
        as_of: Records after it do not exist.
        now: When it is made; only ``generated_at`` shows it.
    """
    at: dict[str, object] = {"as_of": naive_utc(as_of)}
    counted = {row["lane"]: row for row in session.rows(_PACKAGE, "lane_counts", at)}
    providers = session.rows(_PACKAGE, "provider_counts", at)
    lanes: dict[str, dict[str, Any]] = {}
    for lane in LANES.values():
        health = retry_health(session, lane, health_parameters(lane), as_of=as_of, now=now)
        row = counted.get(lane.name, {})
        lanes[lane.name] = {
            "alert_level": health["alert_level"],
            **{name: row.get(name, 0) for name in _COUNTS},
            "open_outage_count": sum(outage["ended_at"] is None for outage in health["outages"]),
            "open_acknowledgement_gap_count": health["acknowledgement_pending_count"],
            "deliveries_by_provider": _by_provider(provider for provider in providers if provider["lane"] == lane.name),
        }
    summed = (*_COUNTS, "open_outage_count", "open_acknowledgement_gap_count")
    document: dict[str, Any] = {
        "schema_version": "cavra-pipeline.dashboard.v1",
        "product": PRODUCT,
        "dashboard_id": "",
        "as_of": instant(as_of),
        "generated_at": instant(now),
        "alert_level": alert_level([str(counts["alert_level"]) for counts in lanes.values()]),
        **{name: sum(counts[name] for counts in lanes.values()) for name in summed},
        "executive_delivery_retry_plan_count": lanes["executive_report"]["retry_plan_count"],
        "retryable_executive_delivery_attempt_count": lanes["executive_report"]["retryable_count"],
        **session.rows(_PACKAGE, "boundary_counts", at)[0],
        "deliveries_by_provider": _by_provider(providers),
        "lanes": lanes,
    }
    document["dashboard_id"] = identify("dashboard", document)
    return document


def _by_provider(rows: Any) -> dict[str, dict[str, int]]:
    totals: dict[str, dict[str, int]] = {}
    for row in rows:
        total = totals.setdefault(row["provider"], {"failed": 0, "delivered": 0})
        total["failed"] += row["failed_delivery_count"]
        total["delivered"] += row["delivered_delivery_count"]
    return dict(sorted(totals.items()))
