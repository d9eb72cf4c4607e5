"""The evidence record of a report: the allowlisted fields of its kind, in CAVRA's shape."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from cavra_pipeline.boundary.kinds import KIND_PREFIX, fields_of
from cavra_pipeline.evidence.own import record
from cavra_pipeline.lanes import LANES


def health_record(report: Mapping[str, Any], *, now: datetime) -> dict[str, Any]:
    """Makes the record of a health report."""
    lane = LANES[str(report["lane"])]
    # CAVRA's own name for what the contract calls failed_<lane>_delivery_count.
    failed = report[lane.failed_delivery_field]
    renamed = {"failed_executive_report_delivery_count": failed}
    counts = {
        "decision_count": report["worker_run_count"],
        "blocked_count": report["failed_execution_count"] + (failed if lane.delivery_alert else 0),
        "approval_required_count": report["acknowledgement_pending_count"] + report["approval_pending_count"],
    }
    return _record(lane.health_kind, str(report["health_id"]), {**renamed, **report}, counts, now=now)


def plan_record(plan: Mapping[str, Any], *, now: datetime) -> dict[str, Any]:
    """Makes the record of a retry plan."""
    lane = LANES[str(plan["lane"])]
    counts = {
        "decision_count": plan["decision_count"],
        "blocked_count": plan["suppressed_count"],
        "approval_required_count": plan["retryable_count"],
    }
    return _record(lane.retry_plan_kind, str(plan["retry_plan_id"]), plan, counts, now=now)


def recovery_record(report: Mapping[str, Any], *, now: datetime) -> dict[str, Any]:
    """Makes the record of a recovery report that has CAVRA's names (``executive/cavra_names.py``)."""
    counts = {
        "decision_count": report["recovery_count"],
        "blocked_count": report["recovery_slo_breached_count"] + report["execution_failed_count"],
        "approval_required_count": report["recovery_open_count"],
    }
    return _record("retry-recovery-report", str(report["report_id"]), report, counts, now=now)


def _record(
    kind: str, report_id: str, report: Mapping[str, Any], counts: Mapping[str, int], *, now: datetime
) -> dict[str, Any]:
    """The record is of this making, not of the report's instant: a question about the past must not change it."""
    digest = hashlib.sha256(f"{report_id}\n{now.isoformat()}\n{report['generated_by']}".encode()).hexdigest()[:12]
    envelope = {field.path for field in fields_of("")}
    fields = {
        field.path: report[field.path]
        for field in fields_of(KIND_PREFIX + kind)
        if field.path not in envelope and field.path in report
    }
    return record(
        kind, session_id=f"{report_id}-{digest}", created_at=now, signer=str(report["generated_by"]), **counts, **fields
    )
