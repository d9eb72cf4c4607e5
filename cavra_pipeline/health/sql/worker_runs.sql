SELECT
    last(coalesce(run_id, session_id) ORDER BY created_at, session_id) AS latest_worker_run_id,
    max(created_at) AS latest_worker_run_at,
    last(schedule_enabled ORDER BY created_at, session_id) AS is_schedule_enabled,
    count(*) FILTER (created_at > $window_start) AS worker_run_count,
    count(*) FILTER (created_at > $window_start AND is_dry_run) AS dry_run_count,
    coalesce(sum(selected_retry_count) FILTER (created_at > $window_start), 0) AS selected_retry_count,
    count(*) FILTER (created_at > $window_start AND NOT schedule_enabled) AS disabled_schedule_count
FROM worker_runs
WHERE lane = $lane AND created_at <= $as_of
