"""The members of the executive report: the JSON type of each and what it says (docs/executive-report-rules.md)."""

from __future__ import annotations

from typing import Final

#: Members in the order of the document: JSON type, comment.
MEMBERS: Final = {
    "schema_version": ("string", "Version of the document's schema"),
    "product": ("string", "What made the document"),
    "executive_report_id": ("string", "Identity of the report, from its content"),
    "recovery_report_id": ("string", "Recovery report that it is based on"),
    "escalation_plan_id": ("string", "Escalation plan that it is based on"),
    "as_of": ("string", "Instant that it is judged at, UTC"),
    "generated_at": ("string", "Instant that it was made at, UTC"),
    "generated_by": ("string", "Actor label of who asked for it"),
    "alert_level": ("string", "Worst level of the plan, the lanes and the risks"),
    "state": ("string", "action_needed, needs_attention, under_control or no_evidence"),
    "headline": ("string", "Why, in one sentence"),
    "what_to_do": ("string", "First action"),
    "escalation_count": ("integer", "Routes of the escalation plan"),
    "open_recovery_count": ("integer", "Recoveries that are open"),
    "recovery_state": ("string", "State of the recovery report"),
    "slo_minutes": ("integer", "How long a recovery may be open, minutes"),
    "slo_breached_count": ("integer", "Open recoveries past the limit"),
    "slo_at_risk_count": ("integer", "Open recoveries past three quarters of the limit"),
    "failed_execution_count": ("integer", "Retries of audits that failed or were skipped and are unresolved"),
    "window_days": ("integer", "UTC days of history, the day of as_of included"),
    "window_start": ("string", "Start of the history, UTC"),
    "evidence_record_count": ("integer", "Records that the report is based on"),
    "future_record_count": ("integer", "Records after as_of"),
    "quarantined_record_count": ("integer", "Rejected lines of the window's landing files"),
    "latest_record_at": ("string", "Instant of the newest record, UTC; null without any"),
    "what_happened": ("array", "The window in sentences"),
    "activity": ("object", "The window in counts"),
    "recoveries": ("object", "Recoveries that were opened and closed, and how fast"),
    "recoveries_before": (
        "object",
        "Counts of recoveries in the window before; null where no playbook had arrived by its start",
    ),
    "recoveries_by_provider": ("array", "The same counts for each provider"),
    "recoveries_by_cause": ("array", "The same counts for each cause"),
    "open_by_need": ("object", "Open recoveries by what they need next"),
    "closure_trend": ("array", "Recoveries opened and closed on each UTC day"),
    "backlog": ("array", "Open recoveries over time"),
    "deliveries_by_provider": ("array", "Attempts and share delivered for each provider, over all lanes"),
    "lanes": ("array", "Outages and retries of each lane"),
    "broken_providers": ("array", "Providers that fail or have open recoveries: what is wrong, and the next step"),
    "open_recoveries": ("array", "Routes of the recoveries that are open"),
    "failed_retries": ("array", "Routes of the providers whose retries failed"),
    "key_risks": ("array", "What endangers recovery, the gravest first"),
    "recommended_actions": ("array", "What to do, the most urgent first"),
}
