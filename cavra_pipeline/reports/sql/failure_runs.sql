-- Unbroken runs of failures with at least so many subjects, of each provider and of each provider in a lane (contract
-- section 14), up to the last instant: a row for each failure. Outcomes of the days before its first failure are counted.
WITH attributed AS MATERIALIZED (
    {{attributed}}
),

pairs AS (
    SELECT lane, subject, provider, min(created_at) FILTER (NOT is_failed) AS settled_at
    FROM attributed
    GROUP BY ALL
),

outcomes AS MATERIALIZED (
    SELECT
        sent.provider, sent.lane, sent.created_at, sent.session_id, sent.is_failed, sent.status_code,
        attributed.subject
    FROM delivery_outcomes AS sent
    LEFT JOIN attributed USING (lane, session_id, provider)
    WHERE sent.lane IS NOT NULL AND sent.created_at >= $since::TIMESTAMP AND sent.created_at <= $until::TIMESTAMP
),

{{in_runs}},

runs AS MATERIALIZED (
    SELECT provider, scope, run, min(created_at) AS began_at
    FROM in_runs
    WHERE is_failed
    GROUP BY provider, scope, run
    HAVING count(DISTINCT (lane, subject)) FILTER (subject IS NOT NULL) >= $least_subjects
),

ended AS (
    SELECT provider, scope, run - 1 AS run, min(created_at) AS ended_at
    FROM in_runs
    WHERE NOT is_failed
    GROUP BY provider, scope, run
),

before AS (
    SELECT
        runs.provider, runs.scope, runs.run,
        count(scoped.provider) AS before_count,
        count(scoped.provider) FILTER (scoped.is_failed) AS failed_before_count
    FROM runs
    LEFT JOIN scoped
        ON scoped.provider = runs.provider AND scoped.scope = runs.scope
        AND scoped.created_at < runs.began_at
        AND scoped.created_at >= runs.began_at - to_days($days_before::INTEGER)
    GROUP BY ALL
)

SELECT
    in_runs.provider, nullif(in_runs.scope, '') AS scope, in_runs.run, in_runs.created_at, in_runs.session_id,
    in_runs.lane, in_runs.subject, in_runs.status_code, in_runs.last_success_at, ended.ended_at,
    before.before_count, before.failed_before_count, pairs.settled_at
FROM in_runs
INNER JOIN before USING (provider, scope, run)
LEFT JOIN ended USING (provider, scope, run)
LEFT JOIN pairs
    ON pairs.lane = in_runs.lane AND pairs.subject = in_runs.subject AND pairs.provider = in_runs.provider
WHERE in_runs.is_failed
ORDER BY in_runs.provider, in_runs.scope, in_runs.run, in_runs.created_at, in_runs.session_id
