-- What CAVRA's dashboard counts, over all current records up to an instant, by kind, lane and source of delivery.
SELECT
    metadata_kind,
    record_type,
    lane,
    CASE WHEN record_type = 'delivery' THEN connector_delivery_source END AS delivery_source,
    count(*) AS record_count,
    count(*) FILTER (record_type = 'delivery' AND delivery_success IS DISTINCT FROM true) AS failed_delivery_count,
    count(*) FILTER (status = 'delivered') AS delivered_execution_count,
    count(*) FILTER (status IN ('failed', 'skipped')) AS failed_execution_count,
    count(*) FILTER (approval_state = $approved) AS approved_count,
    count(*) FILTER (decision_state = $approved) AS decided_count,
    count(*) FILTER (list_contains($closed::VARCHAR[], closure_state)) AS closed_recovery_count,
    count(*) FILTER (closeout_state = 'closed') AS closed_closeout_count,
    count(*) FILTER (record_type = 'worker_run' AND dry_run IS DISTINCT FROM false) AS dry_run_count,
    coalesce(sum(retryable_count), 0)::BIGINT AS retryable_count,
    coalesce(sum(alert_count), 0)::BIGINT AS alert_count,
    coalesce(sum(escalation_count), 0)::BIGINT AS escalation_count
FROM evidence
WHERE created_at <= $as_of::TIMESTAMP
GROUP BY ALL
ORDER BY ALL
