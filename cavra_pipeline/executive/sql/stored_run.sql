-- A scheduled run of the executive report that is evidence: the one of an id, or the newest. The run's record does not
-- name the report that it made: that one has the same signer and the same instant.
WITH run AS (
    SELECT
        session_id, created_at, signer, coalesce(nullif(run_id, ''), session_id) AS run_id, alert_level,
        escalation_count, schedule_enabled, schedule_interval_minutes
    FROM evidence
    WHERE
        record_type = 'schedule_run' AND created_at <= $as_of::TIMESTAMP
        AND ($run_id::VARCHAR IS NULL OR coalesce(nullif(run_id, ''), session_id) = $run_id::VARCHAR)
    ORDER BY created_at DESC, session_id DESC
    LIMIT 1
),

report AS (
    SELECT created_at, signer, max(executive_report_id) AS executive_report_id
    FROM evidence
    WHERE record_type = 'executive_report'
    GROUP BY created_at, signer
)

SELECT run.*, report.executive_report_id
FROM run
LEFT JOIN report ON run.created_at = report.created_at AND run.signer IS NOT DISTINCT FROM report.signer
