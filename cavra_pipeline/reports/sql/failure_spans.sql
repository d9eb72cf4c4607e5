-- Where runs of failures with at least so many subjects may lie, for each provider and each provider in a lane: told from
-- the watched deliveries alone, which are few. Each span reaches from the success before to the success after, and back
-- to the days before the first failure. A span without an end is still open.
WITH outcomes AS MATERIALIZED (
    SELECT * FROM ({{attributed}}) WHERE created_at >= $horizon::TIMESTAMP
),

{{in_runs}},

runs AS (
    SELECT
        provider,
        scope,
        run,
        min(created_at) FILTER (is_failed) - to_days($days_before::INTEGER) AS before,
        max(last_success_at) AS last_success_at,
        count(DISTINCT (lane, subject)) FILTER (is_failed) AS subject_count,
        min(created_at) AS first_at
    FROM in_runs
    GROUP BY provider, scope, run
)

SELECT since, until
FROM (
    SELECT
        least(before, coalesce(last_success_at, TIMESTAMP '-infinity')) AS since,
        lead(first_at) OVER (PARTITION BY provider, scope ORDER BY run) AS until,
        subject_count
    FROM runs
)
WHERE subject_count >= $least_subjects
ORDER BY since, until
