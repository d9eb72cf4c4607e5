SELECT
    lane, created_at, session_id, executive_report_id, audit_id, outcome.provider AS provider,
    outcome.is_failed AS is_failed, outcome.status_code AS status_code, subject
FROM (
    SELECT lane, subject, created_at, session_id, executive_report_id, audit_id, unnest(outcomes) AS outcome
    FROM watched_records
    WHERE
        lane IN ({{lanes}}) AND record_type = 'delivery' AND subject IS NOT NULL
        AND created_at <= list_max($instants::TIMESTAMP[])
)
