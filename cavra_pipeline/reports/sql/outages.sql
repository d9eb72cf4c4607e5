-- Gaps over two intervals between consecutive worker runs, exact to the microsecond (contract section 7), and the
-- instants that report each: those that see the run which ended it, while that is in their window.
WITH runs AS (
    SELECT created_at AS run_at, lead(created_at) OVER (ORDER BY created_at, session_id) AS next_run_at
    FROM runs_and_plans
    WHERE record_type = 'worker_run'
),

placed AS (
    SELECT
        runs.run_at,
        runs.next_run_at,
        opening.number AS first_seen,
        coalesce(closing.number, len($instants::TIMESTAMP[]) + 1) - 1 AS last_seen
    FROM runs
    ASOF JOIN numbered($instants::TIMESTAMP[]) AS opening ON runs.next_run_at <= opening.as_of
    ASOF LEFT JOIN numbered($window_starts::TIMESTAMP[]) AS closing ON runs.next_run_at <= closing.as_of
    WHERE date_diff('microsecond', runs.run_at, runs.next_run_at) > 2 * $interval_minutes::BIGINT * 60000000
)

SELECT run_at, next_run_at, first_seen, last_seen
FROM placed
WHERE first_seen <= last_seen
ORDER BY run_at
