-- What happened in the window of each instant. Every instant and every start of a window is a mark; a record counts from
-- the first mark at or after it on, and a window holds what counts at its instant less what counts at its start.
WITH outcomes AS MATERIALIZED (
    FROM attributed_outcomes(
        $lane, list_max($instants::TIMESTAMP[]),
        settled_by := list_min($window_starts::TIMESTAMP[]), watched := 'watched_in_reach'
    )
),

failed_since AS (
    SELECT DISTINCT subject, provider
    FROM outcomes
    WHERE is_failed AND created_at > list_min($window_starts::TIMESTAMP[])
),

marks AS (
    SELECT DISTINCT unnest($instants::TIMESTAMP[] || $window_starts::TIMESTAMP[]) AS mark
),

seen AS (
    SELECT
        created_at,
        (record_type = 'worker_run')::BIGINT AS worker_run_count,
        (record_type = 'worker_run' AND dry_run IS DISTINCT FROM false)::BIGINT AS dry_run_count,
        CASE WHEN record_type = 'worker_run' THEN selected_retry_count END AS selected_retry_count,
        (record_type = 'worker_run' AND schedule_enabled IS NOT DISTINCT FROM false)::BIGINT AS disabled_schedule_count,
        (record_type = 'retry_plan')::BIGINT AS retry_plan_count,
        CASE WHEN record_type = 'retry_plan' THEN retryable_count END AS retryable_count
    FROM runs_and_plans
    WHERE created_at > list_min($window_starts::TIMESTAMP[])
    UNION ALL BY NAME
    SELECT
        created_at,
        1 AS execution_record_count,
        (execution_status <> 'delivered')::BIGINT AS failed_execution_count,
        (execution_status = 'delivered')::BIGINT AS delivered_execution_count,
        (execution_status = 'skipped')::BIGINT AS skipped_execution_count
    FROM executions
    WHERE
        lane = $lane AND created_at <= list_max($instants::TIMESTAMP[])
        AND created_at > list_min($window_starts::TIMESTAMP[])
    UNION ALL BY NAME
    -- Every failed delivery is watched.
    SELECT created_at, 1 AS failed_delivery_count
    FROM watched_in_reach
    WHERE
        created_at > list_min($window_starts::TIMESTAMP[])
        AND record_type = 'delivery' AND is_failed AND list_bool_or(list_transform(outcomes, lambda o: o.is_failed))
    UNION ALL BY NAME
    SELECT created_at, 1 AS failed_after_delivery_count
    FROM (
        SELECT
            session_id, created_at, is_failed,
            count(*) FILTER (NOT is_failed) OVER (
                PARTITION BY subject, provider ORDER BY created_at, session_id
            ) AS success_count
        FROM outcomes
        SEMI JOIN failed_since USING (subject, provider)
    )
    WHERE is_failed AND success_count > 0 AND created_at > list_min($window_starts::TIMESTAMP[])
    GROUP BY session_id, created_at
),

by_mark AS (
    SELECT marks.mark, sum(columns(seen.* EXCLUDE (created_at)))
    FROM seen
    ASOF JOIN marks ON seen.created_at <= marks.mark
    GROUP BY marks.mark
),

so_far AS (
    SELECT marks.mark, coalesce(sum(columns(by_mark.* EXCLUDE (mark))) OVER (ORDER BY marks.mark), 0)
    FROM marks
    LEFT JOIN by_mark USING (mark)
),

windows AS (
    SELECT instants.number, 1::HUGEINT AS way, so_far.*
    FROM so_far
    INNER JOIN numbered($instants::TIMESTAMP[]) AS instants ON instants.as_of = so_far.mark
    UNION ALL
    SELECT starts.number, -1::HUGEINT AS way, so_far.*
    FROM so_far
    INNER JOIN numbered($window_starts::TIMESTAMP[]) AS starts ON starts.as_of = so_far.mark
)

SELECT sum(way * columns(* EXCLUDE (number, way, mark)))
FROM windows
GROUP BY number
ORDER BY number
