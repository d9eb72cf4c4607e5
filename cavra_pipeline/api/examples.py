"""One example of each answer, for OpenAPI. Made up, in the shape of the real ones."""

from __future__ import annotations

from typing import Any, Final

_AT: Final = "2026-06-25T15:07:25+00:00"
_STEM: Final = "go-backend-rollback-drill-acknowledgement-audit-delivery-recovery-executive-report-"

_PLAN_RECORD: Final = {
    "schema_version": "cavra.evidence.metadata.v1",
    "product": "CAVRA",
    "session_id": "retry-plan-executive_report-0c5f2d-91b7",
    "created_at": _AT,
    "signer": "release-manager",
    "decision_count": 0,
    "blocked_count": 0,
    "approval_required_count": 0,
    "metadata_kind": f"{_STEM}delivery-retry-plan",
    "retry_plan_id": "retry-plan-executive_report-0c5f2d",
    "alert_level": "critical",
    "retryable_count": 1,
    "waiting_count": 0,
    "suppressed_count": 0,
}
_SHORT: Final = {"schema_version": "...", "product": "CAVRA", "lane": "executive_report"}
_MADE: Final = {"as_of": _AT, "generated_at": _AT, "generated_by": "release-manager"}

HEALTH: Final[dict[str, Any]] = {
    "health": {
        **_SHORT, **_MADE,
        "health_id": "retry-health-executive_report-5d81aa",
        "alert_level": "warning",
        "alert_count": 1,
        "alerts": [{
            "severity": "warning", "category": "stale_executive_delivery_retry_plan",
            "message": "The newest retry plan: 5 hours 0 minutes ago; one over 180 minutes old is stale.",
        }],
        "recommended_actions": ["Make a new retry plan before anything is retried."],
        "outages": [],
        "acknowledgement_gaps": [],
    },
    "metadata": {
        **_PLAN_RECORD, "session_id": "retry-health-executive_report-5d81aa-22c0",
        "metadata_kind": f"{_STEM}delivery-retry-health", "alert_level": "warning",
    },
}  # fmt: skip
PLAN: Final[dict[str, Any]] = {
    "plan": {
        **_SHORT, **_MADE,
        "retry_plan_id": "retry-plan-executive_report-0c5f2d",
        "alert_level": "critical",
        "decision_count": 1,
        "retryable_count": 1,
        "waiting_count": 0,
        "suppressed_count": 0,
        "retry_decisions": [{"run_id": "run-17", "provider": "slack", "action": "retry", "retry_count": 1}],
    },
    "metadata": _PLAN_RECORD,
    "actor": "local",
}  # fmt: skip
LANES: Final[dict[str, Any]] = {
    "as_of": _AT,
    "generated_at": _AT,
    "lanes": [{"lane": "executive_report", "alert_level": "healthy", "alert_count": 0, "alerts": []}],
}
DASHBOARD: Final[dict[str, Any]] = {
    "dashboard_id": "dashboard-7be0", "as_of": _AT, "generated_at": _AT, "alert_level": "healthy",
    "lanes": {"executive_report": {"alert_level": "healthy", "evidence_record_count": 120}},
}  # fmt: skip

_ACKNOWLEDGEMENT: Final = {
    "session_id": "acknowledgement-51aa", "created_at": _AT, "signer": "incident-lead", "plan_id": "plan-1",
    "metadata_kind": "go-backend-rollback-drill-acknowledgement-audit-delivery-recovery-escalation-ack",
    "acknowledgement_id": "ack-51aa", "provider": "slack", "acknowledgement_state": "accepted",
}  # fmt: skip
_ROW: Final = {
    "record_type": "acknowledgement", "lane": "recovery_escalation", "subject": "plan-1", "drop_day": "2026-06-25",
    "record": _ACKNOWLEDGEMENT,
}  # fmt: skip
ACKNOWLEDGED: Final[dict[str, Any]] = {"acknowledgement": _ACKNOWLEDGEMENT, "actor": "local"}
ACKNOWLEDGEMENTS: Final[dict[str, Any]] = {"acknowledgements": [_ROW], "next": None}
EVIDENCE: Final[dict[str, Any]] = {"records": [_ROW], "next": None}

_REPORT: Final = {
    "report": "retry_health", "lane": "executive_report", "report_day": "2026-06-25", "as_of": _AT,
    "report_id": "retry-health-executive_report-5d81aa", "alert_level": "warning", "evidence_record_count": 120,
    "generated_at": _AT,
}  # fmt: skip
HISTORY: Final[dict[str, Any]] = {"reports": [_REPORT], "next": None}
REPORT: Final[dict[str, Any]] = {"report": {**_REPORT, "document": HEALTH["health"]}}
QUARANTINE: Final[dict[str, Any]] = {
    "count": 1,
    "quarantine": [{
        "drop_day": "2026-06-25", "source_file": "evidence.jsonl", "line_number": 7, "reason": "not_json",
        "field": None, "sha256": "0" * 64, "file_name": "evidence.jsonl",
    }],
    "next": None,
}  # fmt: skip
FINDINGS: Final[dict[str, Any]] = {
    "count": 1,
    "findings": [{
        "drop_day": "2026-06-25", "source_file": "evidence.jsonl", "line_number": 9, "rule": "slack-webhook",
        "path": "delivery.deliveries[].request.url", "action": "dropped", "file_name": "evidence.jsonl",
    }],
    "next": None,
}  # fmt: skip
PARTITIONS: Final[dict[str, Any]] = {
    "partitions": [{
        "day": "2026-06-25", "drop_count": 1, "received_count": 120,
        "reports": {"executive_report": {"retry_health": "warning", "retry_plan": "critical"}},
    }],
    "next_from": None,
}  # fmt: skip
REFRESH: Final[dict[str, Any]] = {
    "run_id": "0d2c4f1e-7a37-4a6e-9a43-3a1f2e6f8b11", "status": "started", "job": "daily_close",
    "from": "2026-06-25", "to": "2026-06-25",
    "ui": "http://127.0.0.1:3000/runs/0d2c4f1e-7a37-4a6e-9a43-3a1f2e6f8b11",
}  # fmt: skip
STATUS: Final[dict[str, Any]] = {
    "service": "cavra-pipeline", "version": "0.1.0", "now": _AT, "access": "tokens",
    "notice": "Every request needs a token with the scope of its endpoint.", "actor": "release-manager",
    "scopes": ["read", "plan"], "reading": {"copied_at": _AT, "is_behind": False, "failure": None},
    "evidence": {"kept_count": 4, "failed_count": 0},
    "dagster": {"url": "http://127.0.0.1:3000", "is_open": True, "reported_count": 4, "lost_count": 0},
    "live_lanes": ["executive_report"],
}  # fmt: skip
