-- Retry plans and worker runs of a lane: those of a time, and those that are named.
SELECT record_type, session_id, created_at, run_id, retry_plan_id, dry_run IS DISTINCT FROM false AS is_dry_run
FROM evidence
WHERE
    lane = $lane AND created_at <= $as_of::TIMESTAMP
    AND (
        record_type IN ('retry_plan', 'worker_run')
        AND created_at >= $since::TIMESTAMP AND created_at <= $until::TIMESTAMP
        OR record_type = 'worker_run' AND list_contains($run_ids::VARCHAR[], run_id)
        OR record_type = 'retry_plan' AND list_contains($plan_ids::VARCHAR[], retry_plan_id)
    )
ORDER BY created_at, session_id
