-- Retry plans and worker runs of a lane: those of a time, and those that are named. A plan's record says its policy, and
-- a run's executions how many retries of the provider it tried.
WITH tried AS (
    SELECT
        coalesce(nullif(worker_run_id, ''), CASE WHEN $has_run_ids THEN run_id END) AS run_id,
        count(*) AS tried_count
    FROM executions
    WHERE lane = $lane AND provider = $provider AND created_at <= $as_of::TIMESTAMP
    GROUP BY ALL
)

SELECT
    record_type, session_id, created_at, evidence.run_id, retry_plan_id, dry_run IS DISTINCT FROM false AS is_dry_run,
    coalesce(tried.tried_count, 0) AS tried_count,
    max_retry_attempts, base_retry_delay_minutes, allow_immediate_retry, backoff_multiplier
FROM evidence
LEFT JOIN tried ON record_type = 'worker_run' AND tried.run_id = evidence.run_id
WHERE
    lane = $lane AND created_at <= $as_of::TIMESTAMP
    AND (
        record_type IN ('retry_plan', 'worker_run')
        AND created_at >= $since::TIMESTAMP AND created_at <= $until::TIMESTAMP
        OR record_type = 'worker_run' AND list_contains($run_ids::VARCHAR[], evidence.run_id)
        OR record_type = 'retry_plan' AND list_contains($plan_ids::VARCHAR[], retry_plan_id)
    )
ORDER BY created_at, session_id
