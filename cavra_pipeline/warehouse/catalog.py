"""What the tables and views of the warehouse hold, in words: comments and keys.

The schema writes the comments into the file; the data dictionary of the docs is made from them. Columns that hold
declared fields have the comment of their field (``boundary/fields.py``).
"""

from __future__ import annotations

from typing import Final

#: Comment of each table, in the order in which they are created.
TABLES: Final = {
    "identity": "Which warehouse this is: one row",
    "drops": "Landing files that were read, or could not be",
    "quarantine": "Rejected lines: place, SHA-256 and reason, never the content",
    "finding_rows": "What was not public-safe, one row for each place; "
    "the view findings counts a version of a record once",
    "watched_records": "Current records of every subject that ever had a failed delivery or execution, "
    "made from evidence_records",
    "retry_links": "What each delivery that is a retry retries, made from watched_records",
    "retried_subjects": "The subject that was tried first of each subject of a retry, made from retry_links",
    "lane_days": "How many current records of each type a lane has of a UTC day, made from evidence_records",
    "prunings": "Prunings that were applied: up to when, and what they removed",
    "pruned_drops": "What is no longer there of a landing file",
    "pruned_lanes": "What pruned records add to the counts of each lane",
    "pruned_providers": "What pruned deliveries add to the counts of each lane and provider",
    "pruned_skips": "What pruned executions add to the skipped ones of each lane and reason",
    "evidence_changes": "From when on commits have changed evidence",
    "touched_segments": "The commit that changed the current records of a lane and a UTC day last",
}
EVIDENCE_RECORDS: Final = "Every version of every record, allowlisted fields only"
#: Comment of each view, in the order in which they are created.
VIEWS: Final = {
    "evidence": "Current version of every record",
    "deliveries": "Deliveries through connectors",
    "delivery_outcomes": "One row for each delivery and provider: did it fail?",
    "acknowledgements": "What operators acknowledged, by subject and provider",
    "retry_plans": "Retry plans that CAVRA recorded",
    "worker_runs": "Runs of the recovery retry worker, dry and live",
    "executions": "Live retries and how they ended",
    "health_reports": "Health reports that CAVRA recorded",
    "executive_reports": "Executive recovery reports",
    "escalation_plans": "Recovery escalation plans",
    "escalation_routes": "One row for each recovery that an escalation plan names",
    "recoveries": "One row for each recovery: a connector in a recovery playbook",
    "recovery_closures": "What was said of recoveries: closed, deferred, escalated or opened again",
    "watchable_records": "Current deliveries, executions and acknowledgements: what watched_records is made from",
    "findings": "What was not public-safe, once for a version of a record",
    "drop_totals": "Received = accepted + superseded + quarantined + pruned, for each landing file",
}

#: Columns that hold no declared field of a record, wherever they stand.
COLUMNS: Final = {
    "accepted_count": "Records of the file that are current",
    "action": "What became of the value: dropped, pseudonymised or quarantined",
    "age_minutes": "Age of the recovery when the plan was made, minutes",
    "category": "Kind of connector",
    "closed_drop_count": "Landing files that are not read again",
    "closed_spell_count": "Unused; 0",
    "commit_number": "Transaction that wrote it, counted from 1",
    "delivered_delivery_count": "Deliveries that the provider took",
    "delivered_execution_count": "Executions that were delivered",
    "delivery_count": "Deliveries",
    "dry_worker_run_count": "Worker runs that sent nothing",
    "earliest": "Instant of the earliest record that changed, UTC",
    "error": "Why the file could not be read to its end; null if it could",
    "evidence_record_count": "Records of the lane",
    "failed_delivery_count": "Deliveries that failed",
    "field": "Dotted path of the field that was wrong; null for the line as a whole",
    "finding_count": "Findings",
    "first_subject": "Subject that was tried first",
    "fingerprint": "Size and modification time of the file, by which a change is recognised",
    "health_alert_count": "Alerts in health reports",
    "health_report_count": "Health reports",
    "horizon": "Instant before which evidence was removed, UTC",
    "ingested_at": "When the file was read, UTC",
    "is_closed": "Whether the file is not read again",
    "is_dry_run": "Whether the run sent nothing; true unless the record says otherwise",
    "is_failed": "Whether the provider did not take it",
    "is_watched": "Whether the whole history of its subject is watched from it on",
    "linked_at": "When the execution that names the retry was recorded, UTC",
    "latest_failure_at": "Newest failure in the playbook, UTC",
    "latest_record_at": "Instant of the newest record that was removed, UTC",
    "live_worker_run_count": "Worker runs that sent",
    "opened_at": "When the playbook opened the recovery, UTC",
    "path": "Dotted path of the field, never its value",
    "pruned_at": "When it was pruned, UTC",
    "pruned_count": "Records and rejected lines that were pruned",
    "pruning_number": "Number of the pruning; null where ingest left records out",
    "quarantined_count": "Rejected lines",
    "raw_bytes": "Size of the file as it lies there, bytes",
    "reason": "Why: a code",
    "received_count": "Lines of the file that are not blank",
    "record_count": "Records",
    "remaining_lines": "Lines that remain of a closed file, numbered from 1",
    "retried_as": "Record of the delivery that the execution made",
    "retry_plan_count": "Retry plans",
    "retry_subject": "Subject of the retry's own delivery; null until it is there",
    "row_id": "Row of evidence_records",
    "rule": "Rule that found it",
    "schema_version": "Version of the schema",
    "segment_day": "UTC day on which the records were created",
    "sent_at": "When the retry's own delivery was recorded, UTC; null until it is there",
    "settled_at": "From when on every delivery of its subject has arrived everywhere and none fails, UTC; "
    "null while one has not, and where a retry has a subject of its own",
    "severity": "critical or warning",
    "sha256": "SHA-256 of the file or of the line, in hexadecimal digits",
    "since": "Instant from which that holds, UTC",
    "skipped_count": "Executions that were skipped for that reason",
    "skipped_execution_count": "Executions that were skipped",
    "slo_status": "open, breached or closed",
    "source_file": "File that the line came from, as it was imported",
    "status": "How an execution ended: delivered, failed or skipped; null for other records",
    "status_code": "HTTP status; null where there was no answer",
    "superseded_count": "Records of the file that a newer version has replaced",
    "unknown_kind_count": "Records of a kind that is not declared",
    "warehouse_id": "Given when the file was made",
}
#: Where a column means something else than elsewhere.
_SPECIAL: Final = {
    ("evidence", "schema_version"): "CAVRA's schema name",
    ("evidence_records", "schema_version"): "CAVRA's schema name",
    ("drops", "dropped_field_count"): "Fields outside the allowlist that were left out of its records",
    ("recoveries", "session_id"): "Record of the playbook",
    ("escalation_routes", "session_id"): "Record of the escalation plan",
    ("delivery_outcomes", "session_id"): "Record of the delivery",
    ("retry_plans", "retryable_count"): "Deliveries to retry",
    ("pruned_skips", "reason"): "Why nothing was sent",
}

#: Columns that tell the rows of a table apart, in the order in which rows are listed after their instant.
KEYS: Final = {
    "evidence_records": ("drop_day", "file_name", "line_number"),
    "drops": ("drop_day", "file_name"),
    "drop_totals": ("drop_day", "file_name"),
    "quarantine": ("drop_day", "file_name", "source_file", "line_number"),
    "findings": ("drop_day", "file_name", "source_file", "line_number", "rule", "path"),
    "finding_rows": ("drop_day", "file_name", "source_file", "line_number", "rule", "path"),
    "delivery_outcomes": ("session_id", "provider"),
    "escalation_routes": ("session_id", "playbook_id", "provider"),
    "recoveries": ("session_id", "provider"),
    "retry_links": ("lane", "retried_as"),
    "retried_subjects": ("lane", "subject", "provider"),
    "lane_days": ("lane", "segment_day", "record_type"),
    **dict.fromkeys(
        ("evidence", "deliveries", "acknowledgements", "retry_plans", "worker_runs", "executions", "health_reports",
         "executive_reports", "escalation_plans", "recovery_closures", "watchable_records", "watched_records"),
        ("session_id",),
    ),
}  # fmt: skip
#: Tables whose key no two rows can share, so that rows need nothing else to be in one order.
IS_UNIQUE: Final = (("session_id",), KEYS["evidence_records"])


def comment_on(table: str, column: str, fields: dict[str, str]) -> str:
    """Returns what a column holds.

    Args:
        table: The table or view.
        column: The column.
        fields: Comments of the columns that hold declared fields or are derived from them.
    """
    return _SPECIAL.get((table, column)) or fields.get(column) or COLUMNS[column]
