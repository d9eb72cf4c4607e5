-- What the records that go add to the counts of their lane; superseded versions add nothing.
SELECT
    lane,
    max(created_at) AS latest_record_at,
    count(*) FILTER (record_type = 'delivery') AS delivery_count,
    count(*) FILTER (record_type = 'health_report') AS health_report_count,
    coalesce(sum(alert_count) FILTER (record_type = 'health_report'), 0) AS health_alert_count,
    count(*) FILTER (record_type = 'retry_plan') AS retry_plan_count,
    coalesce(sum(retryable_count) FILTER (record_type = 'retry_plan'), 0) AS retryable_count,
    count(*) FILTER (record_type = 'worker_run' AND dry_run IS DISTINCT FROM false) AS dry_worker_run_count,
    count(*) FILTER (record_type = 'worker_run' AND NOT dry_run) AS live_worker_run_count,
    count(*) FILTER (status = 'delivered') AS delivered_execution_count,
    count(*) FILTER (status = 'failed') AS failed_execution_count,
    count(*) FILTER (status = 'skipped') AS skipped_execution_count,
    count(*) AS evidence_record_count
FROM (
    SELECT *, status_of_execution(record_type, execution_status, delivery_success) AS status
    FROM evidence_records
    WHERE is_current AND lane IS NOT NULL AND rowid IN (SELECT row_id FROM removable)
)
GROUP BY lane
ORDER BY lane
