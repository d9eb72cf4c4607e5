"""The evidence record of a report: the allowlisted fields of its kind, in CAVRA's shape."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from cavra_pipeline.boundary.kinds import KIND_PREFIX, fields_of, payload_key
from cavra_pipeline.evidence.emitted import record
from cavra_pipeline.lanes import LANES
from cavra_pipeline.reports.policy import POLICY_MEMBERS


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
    return _record(lane.kinds.health, str(report["health_id"]), {**renamed, **report}, counts, now=now)


def plan_record(plan: Mapping[str, Any], *, now: datetime) -> dict[str, Any]:
    """Makes the record of a retry plan."""
    kind = LANES[str(plan["lane"])].kinds.retry_plan
    return _record(kind, str(plan["retry_plan_id"]), plan, plan_counts(plan), now=now)


def plan_counts(plan: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what the record of a retry plan holds beside its own fields: envelope counts, and the policy in force."""
    kind = LANES[str(plan["lane"])].kinds.retry_plan
    payload = payload_key(kind)
    names = [field.path.removeprefix(f"{payload}.") for field in fields_of(KIND_PREFIX + kind)]
    return {
        "decision_count": plan["decision_count"],
        "blocked_count": plan["suppressed_count"],
        "approval_required_count": plan["retryable_count"],
        payload: {name: plan[name] for name in names if name in POLICY_MEMBERS},
    }


def recovery_record(report: Mapping[str, Any], *, now: datetime) -> dict[str, Any]:
    """Makes the record of a recovery report that has CAVRA's names (``executive/cavra_names.py``)."""
    counts = {
        "decision_count": report["recovery_count"],
        "blocked_count": report["recovery_slo_breached_count"] + report["execution_failed_count"],
        "approval_required_count": report["recovery_open_count"],
    }
    return _record("retry-recovery-report", str(report["report_id"]), report, counts, now=now)


def _record(
    kind: str, report_id: str, report: Mapping[str, Any], counts: Mapping[str, Any], *, now: datetime
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
