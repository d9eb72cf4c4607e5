SELECT
    last(coalesce(retry_plan_id, session_id) ORDER BY created_at, session_id) AS latest_retry_plan_id,
    max(created_at) AS latest_retry_plan_at,
    count(*) FILTER (created_at > $window_start) AS retry_plan_count,
    coalesce(sum(retryable_count) FILTER (created_at > $window_start), 0) AS retryable_count
FROM retry_plans
WHERE lane = $lane AND created_at <= $as_of
