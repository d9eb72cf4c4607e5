-- What each lane did in the window.
SELECT
    lane,
    count(*) FILTER (record_type = 'delivery') AS delivery_count,
    count(*) FILTER (
        record_type = 'delivery' AND list_bool_or(list_transform(outcomes, lambda o: o.is_failed))
    ) AS failed_delivery_count,
    count(*) FILTER (record_type = 'acknowledgement') AS acknowledgement_count,
    count(*) FILTER (record_type = 'worker_run') AS worker_run_count,
    count(*) FILTER (record_type = 'worker_run' AND NOT dry_run) AS live_worker_run_count,
    count(*) FILTER (status = 'delivered') AS delivered_execution_count,
    count(*) FILTER (status = 'failed') AS failed_execution_count,
    count(*) FILTER (status = 'skipped') AS skipped_execution_count
FROM (
    SELECT
        *,
        CASE
            WHEN record_type = 'execution'
                THEN coalesce(execution_status, CASE WHEN delivery_success THEN 'delivered' ELSE 'failed' END)
        END AS status
    FROM evidence
    WHERE lane IS NOT NULL AND created_at >= $window_start AND created_at <= $as_of
)
GROUP BY lane
ORDER BY lane
