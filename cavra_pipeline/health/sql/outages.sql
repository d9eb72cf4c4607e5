-- Gaps over two intervals between consecutive worker runs, and from the last run to as_of, that end in the window or
-- are still open (contract section 7). Exact to the microsecond.
WITH runs AS (
    SELECT created_at AS run_at, lead(created_at) OVER (ORDER BY created_at, session_id) AS next_run_at
    FROM worker_runs
    WHERE lane = $lane AND created_at <= $as_of
),

gaps AS (
    SELECT
        run_at,
        next_run_at,
        date_diff('microsecond', run_at, coalesce(next_run_at, $as_of::TIMESTAMP)) AS gap,
        $interval_minutes::BIGINT * 60000000 AS interval
    FROM runs
)

SELECT
    run_at + to_microseconds(interval) AS started_at,
    next_run_at AS ended_at,
    gap // interval - 1 AS missed_runs
FROM gaps
WHERE gap > 2 * interval AND (next_run_at IS NULL OR next_run_at > $window_start)
ORDER BY started_at
