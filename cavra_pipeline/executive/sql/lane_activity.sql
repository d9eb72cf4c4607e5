-- What each lane did in the window, and how much evidence there is of it at all.
SELECT
    lane,
    count(*) FILTER (created_at <= $as_of) AS evidence_record_count,
    count(*) FILTER (created_at > $as_of) AS future_record_count,
    max(created_at) FILTER (created_at <= $as_of) AS latest_record_at,
    count(*) FILTER (in_window AND record_type = 'delivery') AS delivery_count,
    count(*) FILTER (
        in_window AND record_type = 'delivery' AND list_bool_or(list_transform(outcomes, lambda o: o.is_failed))
    ) AS failed_delivery_count,
    count(*) FILTER (in_window AND record_type = 'acknowledgement') AS acknowledgement_count,
    count(*) FILTER (in_window AND record_type = 'worker_run') AS worker_run_count,
    count(*) FILTER (in_window AND record_type = 'worker_run' AND NOT dry_run) AS live_worker_run_count,
    count(*) FILTER (in_window AND status = 'delivered') AS delivered_execution_count,
    count(*) FILTER (in_window AND status = 'failed') AS failed_execution_count,
    count(*) FILTER (in_window AND status = 'skipped') AS skipped_execution_count
FROM (
    SELECT
        *,
        created_at <= $as_of AND created_at >= $window_start AS in_window,
        CASE
            WHEN record_type = 'execution'
                THEN coalesce(execution_status, CASE WHEN delivery_success THEN 'delivered' ELSE 'failed' END)
        END AS status
    FROM evidence
    WHERE lane IS NOT NULL
)
GROUP BY lane
ORDER BY lane
