-- Outcomes of each provider and of each provider in a lane, with how many successes came before: the number of the run of
-- failures (contract section 14), of which a success is the beginning.
scoped AS MATERIALIZED (
    SELECT *, '' AS scope FROM outcomes
    UNION ALL
    SELECT *, lane AS scope FROM outcomes
),

in_runs AS (
    SELECT
        *,
        count(*) FILTER (NOT is_failed) OVER so_far AS run,
        max(created_at) FILTER (NOT is_failed) OVER so_far AS last_success_at
    FROM scoped
    WINDOW so_far AS (PARTITION BY provider, scope ORDER BY created_at, session_id)
)
