-- The lane's worker runs and retry plans that a health report of the instants is based on.
SELECT
    record_type, created_at, session_id, run_id, retry_plan_id, schedule_enabled, dry_run, selected_retry_count, retryable_count
FROM evidence
WHERE
    lane = $lane AND record_type IN ('worker_run', 'retry_plan')
    AND created_at >= least(
        coalesce($runs_since::TIMESTAMP, TIMESTAMP '-infinity'), coalesce($plans_since::TIMESTAMP, TIMESTAMP '-infinity')
    )
    AND created_at <= list_max($instants::TIMESTAMP[])
