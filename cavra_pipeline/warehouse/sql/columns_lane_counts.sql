-- What the dashboard counts of a lane's records, in whatever rows they stand; pruned ones are counted the same way.
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
