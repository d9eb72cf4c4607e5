-- What happened in the window of each instant. A record enters the sums at the first instant that sees it and leaves
-- them at the first whose window starts at it or later; each sum is that of what has entered less what has left.
WITH seen AS (
    SELECT
        created_at,
        (record_type = 'worker_run')::BIGINT AS worker_run_count,
        (record_type = 'worker_run' AND dry_run IS DISTINCT FROM false)::BIGINT AS dry_run_count,
        CASE WHEN record_type = 'worker_run' THEN selected_retry_count END AS selected_retry_count,
        (record_type = 'worker_run' AND schedule_enabled IS NOT DISTINCT FROM false)::BIGINT AS disabled_schedule_count,
        (record_type = 'retry_plan')::BIGINT AS retry_plan_count,
        CASE WHEN record_type = 'retry_plan' THEN retryable_count END AS retryable_count,
        (record_type = 'execution')::BIGINT AS execution_record_count,
        (record_type = 'execution' AND status IN ('failed', 'skipped'))::BIGINT AS failed_execution_count,
        (record_type = 'execution' AND status = 'delivered')::BIGINT AS delivered_execution_count,
        (record_type = 'delivery')::BIGINT AS failed_delivery_count
    FROM (
        SELECT *, coalesce(execution_status, CASE WHEN delivery_success THEN 'delivered' ELSE 'failed' END) AS status
        FROM evidence
    )
    WHERE
        lane = $lane AND created_at <= list_max($instants::TIMESTAMP[])
        AND created_at > list_min($window_starts::TIMESTAMP[])
        AND (
            record_type IN ('worker_run', 'retry_plan', 'execution')
            OR record_type = 'delivery' AND list_bool_or(list_transform(outcomes, lambda o: o.is_failed))
        )
),

moved AS (
    SELECT opening.number, 1::HUGEINT AS way, seen.* EXCLUDE (created_at)
    FROM seen
    ASOF JOIN asked($instants::TIMESTAMP[]) AS opening ON seen.created_at <= opening.as_of
    UNION ALL
    SELECT closing.number, -1::HUGEINT AS way, seen.* EXCLUDE (created_at)
    FROM seen
    ASOF JOIN asked($window_starts::TIMESTAMP[]) AS closing ON seen.created_at <= closing.as_of
),

changes AS (
    SELECT number, way * columns(* EXCLUDE (number, way)) FROM moved
),

by_number AS (
    SELECT number, sum(columns(* EXCLUDE (number))) FROM changes GROUP BY number
)

SELECT
    coalesce(sum(columns(by_number.* EXCLUDE (number))) OVER (ORDER BY asked.number), 0)
FROM asked($instants::TIMESTAMP[]) AS asked
LEFT JOIN by_number USING (number)
ORDER BY asked.number
