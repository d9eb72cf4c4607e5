"""Counts of everything the pipeline watches, as of an instant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, Final

from cavra_pipeline.documents import PRODUCT, ascending, identify, instant, naive_utc
from cavra_pipeline.recoveries.history import RecoveryParameters
from cavra_pipeline.recoveries.report import recovery_reports
from cavra_pipeline.reports.closure import closures_of
from cavra_pipeline.reports.health import alert_level, health_of_lanes
from cavra_pipeline.warehouse import Session, lane_counts

_PACKAGE: Final = "cavra_pipeline.reports"

#: What of a lane's health report is counted over all lanes too: name, field.
_OPEN: Final = (
    ("open_acknowledgement_gap_count", "acknowledgement_pending_count"),
    ("open_approval_gap_count", "approval_pending_count"),
    ("outstanding_alert_acknowledgement_count", "outstanding_alert_acknowledgement_count"),
)
_RECOVERIES: Final = ("recovery_open_count", "recovery_closed_count", "recovery_slo_breached_count")
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


def dashboards(session: Session, *, instants: Sequence[datetime], now: datetime) -> list[dict[str, Any]]:
    """Counts per lane and over all lanes (contract section 9) as of each instant, in one pass over the evidence.

    Args:
        session: An open warehouse.
        instants: Records after one do not exist for its dashboard.
        now: When they are made; only ``generated_at`` shows it.

    Returns:
        A dashboard for each instant, in the order of the instants.
    """
    ascending_instants = ascending(instants)
    parameters: dict[str, object] = {"instants": ascending_instants}
    counted = _up_to_each(
        session.rows(_PACKAGE, "lane_counts", parameters, lane_counts=lane_counts()), len(ascending_instants)
    )
    delivered = _up_to_each(session.rows(_PACKAGE, "provider_counts", parameters), len(ascending_instants))
    skipped = _up_to_each(session.rows(_PACKAGE, "skip_counts", parameters), len(ascending_instants))
    boundary = session.rows(_PACKAGE, "boundary_counts", parameters)
    moments = [at.replace(tzinfo=UTC) for at in ascending_instants]
    health = health_of_lanes(session, instants=moments, now=now)
    recoveries = recovery_reports(session, RecoveryParameters(), instants=moments, now=now)
    closures = closures_of(session, health, recoveries, instants=ascending_instants, made_by={})
    documents = {
        at: _dashboard(
            {lane: reports[n] for lane, reports in health.items()},
            counted[n],
            delivered[n],
            skipped[n],
            {
                **{name: recoveries[n][name] for name in _RECOVERIES},
                "closure_state": closures[n]["closure_state"],
                "open_item_count": closures[n]["open_item_count"],
                **boundary[n],
            },
            as_of=instant(at),
            generated_at=instant(now),
        )
        for n, at in enumerate(ascending_instants)
    }
    return [documents[naive_utc(at)] for at in instants]


_Key = tuple[Any, ...]
_Totals = dict[_Key, Counter[str]]


def _up_to_each(rows: Iterable[Mapping[str, Any]], instant_count: int) -> list[_Totals]:
    """Adds up what each instant sees more than the one before it, by lane, or by lane and provider."""
    totals_of_instants: list[_Totals] = []
    totals: _Totals = {}
    by_number = {number: list(more) for number, more in groupby(rows, key=lambda row: row["number"])}
    for number in range(1, instant_count + 1):
        totals = {key: Counter(total) for key, total in totals.items()}
        for row in by_number.get(number, []):
            key = tuple(row[name] for name in ("lane", "provider", "reason") if name in row)
            more = {name: count for name, count in row.items() if name.endswith("_count")}
            totals.setdefault(key, Counter()).update(more)
        totals_of_instants.append(totals)
    return totals_of_instants


def _dashboard(
    health: Mapping[str, Mapping[str, Any]],
    counted: _Totals,
    delivered: _Totals,
    skipped: _Totals,
    over_all: Mapping[str, Any],
    *,
    as_of: str | None,
    generated_at: str | None,
) -> dict[str, Any]:
    lanes: dict[str, dict[str, Any]] = {}
    for lane, report in health.items():
        row = counted.get((lane,), Counter[str]())
        lanes[lane] = {
            "alert_level": report["alert_level"],
            **{name: row[name] for name in _COUNTS},
            "open_outage_count": sum(outage["ended_at"] is None for outage in report["outages"]),
            **{name: report[field] for name, field in _OPEN},
            "skipped_reasons": _by_reason({key: totals for key, totals in skipped.items() if key[0] == lane}),
            "deliveries_by_provider": _by_provider(
                {key: totals for key, totals in delivered.items() if key[0] == lane}
            ),
        }
    summed = (*_COUNTS, "open_outage_count", *(name for name, _ in _OPEN))
    document: dict[str, Any] = {
        "schema_version": "cavra-pipeline.dashboard.v1",
        "product": PRODUCT,
        "dashboard_id": "",
        "as_of": as_of,
        "generated_at": generated_at,
        "alert_level": alert_level([str(counts["alert_level"]) for counts in lanes.values()]),
        **{name: sum(counts[name] for counts in lanes.values()) for name in summed},
        "executive_delivery_retry_plan_count": lanes["executive_report"]["retry_plan_count"],
        "retryable_executive_delivery_attempt_count": lanes["executive_report"]["retryable_count"],
        **over_all,
        "skipped_reasons": _by_reason(skipped),
        "deliveries_by_provider": _by_provider(delivered),
        "lanes": lanes,
    }
    document["dashboard_id"] = identify("dashboard", document)
    return document


def _by_provider(delivered: _Totals) -> dict[str, dict[str, int]]:
    totals: dict[str, dict[str, int]] = {}
    for (_, provider), counts in delivered.items():
        total = totals.setdefault(provider, {"failed": 0, "delivered": 0})
        total["failed"] += counts["failed_delivery_count"]
        total["delivered"] += counts["delivered_delivery_count"]
    return dict(sorted(totals.items()))


def _by_reason(skipped: _Totals) -> dict[str, int]:
    totals = Counter[str]()
    for (_, reason), counts in skipped.items():
        totals[reason] += counts["skipped_count"]
    return dict(sorted(totals.items()))
