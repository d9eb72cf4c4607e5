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
    renamed = {"failed_executive_report_delivery_count": report[lane.failed_delivery_field]}
    return _record(lane.health_kind, str(report["health_id"]), {**renamed, **report}, now=now)


def plan_record(plan: Mapping[str, Any], *, now: datetime) -> dict[str, Any]:
    """Makes the record of a retry plan."""
    lane = LANES[str(plan["lane"])]
    return _record(lane.retry_plan_kind, str(plan["retry_plan_id"]), plan, now=now)


def _record(kind: str, report_id: str, report: Mapping[str, Any], *, now: datetime) -> dict[str, Any]:
    """The record is of this making, not of the report's instant: a question about the past must not change it."""
    digest = hashlib.sha256(f"{report_id}\n{now.isoformat()}\n{report['generated_by']}".encode()).hexdigest()[:12]
    envelope = {field.path for field in fields_of("")}
    fields = {
        field.path: report[field.path]
        for field in fields_of(KIND_PREFIX + kind)
        if field.path not in envelope and field.path in report
    }
    return record(
        kind, session_id=f"{report_id}-{digest}", created_at=now, signer=str(report["generated_by"]), **fields
    )
