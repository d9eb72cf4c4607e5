-- Unbroken runs of failures of some providers, and of each in a lane (contract section 14), that may hold so many
-- subjects: a row for each failure, its subject aside. Failures are few; of the many successes it is asked only which
-- was the last before a failure, and which day they were in.
WITH failures AS MATERIALIZED (
    SELECT * FROM ({{failures}}) WHERE list_contains($providers::VARCHAR[], provider)
),

outcomes AS MATERIALIZED (
    SELECT provider, lane, created_at, is_failed
    FROM delivery_outcomes
    WHERE
        lane IS NOT NULL AND created_at >= $since::TIMESTAMP AND created_at <= $until::TIMESTAMP
        AND list_contains($providers::VARCHAR[], provider)
),

-- Successes of the very instant of a failure: the session ids decide their order.
ties AS MATERIALIZED (
    SELECT sent.provider, sent.lane, sent.created_at, sent.session_id
    FROM delivery_outcomes AS sent
    SEMI JOIN failures USING (provider, created_at)
    WHERE
        NOT sent.is_failed AND sent.lane IS NOT NULL
        AND sent.created_at >= $since::TIMESTAMP AND sent.created_at <= $until::TIMESTAMP
),

lane_days AS MATERIALIZED (
    SELECT
        provider, lane, date_trunc('day', created_at)::TIMESTAMP AS day,
        count(*) AS outcome_count,
        count(*) FILTER (is_failed) AS failed_count,
        min(created_at) FILTER (NOT is_failed) AS success_at
    FROM outcomes
    GROUP BY ALL
),

-- What a provider is sent in one lane has a number: millions of successes are ordered by it, and not by two names.
numbered AS MATERIALIZED (
    SELECT provider, lane, row_number() OVER ()::UINTEGER AS number FROM (SELECT DISTINCT provider, lane FROM lane_days)
),

scopes AS MATERIALIZED (
    SELECT DISTINCT provider, lane, unnest(['', lane]) AS scope FROM lane_days
),

before AS MATERIALIZED (
    SELECT probes.number, probes.created_at, successes.created_at AS success_at
    FROM (
        SELECT DISTINCT numbered.number, failures.created_at FROM failures INNER JOIN numbered USING (provider)
    ) AS probes
    ASOF INNER JOIN (
        SELECT numbered.number, outcomes.created_at
        FROM outcomes
        INNER JOIN numbered USING (provider, lane)
        WHERE NOT outcomes.is_failed
    ) AS successes
        ON successes.number = probes.number AND successes.created_at < probes.created_at
),

in_order AS MATERIALIZED (
    SELECT
        scoped.*,
        newest.success_at,
        lag(scoped.created_at) OVER history AS previous_at,
        lag(scoped.session_id) OVER history AS previous_id
    FROM (SELECT *, '' AS scope FROM failures UNION ALL SELECT *, lane AS scope FROM failures) AS scoped
    LEFT JOIN (
        SELECT scopes.provider, scopes.scope, before.created_at, max(before.success_at) AS success_at
        FROM before
        INNER JOIN numbered USING (number)
        INNER JOIN scopes USING (provider, lane)
        GROUP BY ALL
    ) AS newest USING (provider, scope, created_at)
    WINDOW history AS (PARTITION BY scoped.provider, scoped.scope ORDER BY scoped.created_at, scoped.session_id)
),

-- A failure just after a success of its own instant, and one just before which such a success followed the failure before.
tied AS MATERIALIZED (
    SELECT DISTINCT in_order.provider, in_order.scope, in_order.session_id, true AS is_just_after
    FROM in_order
    INNER JOIN ties ON ties.provider = in_order.provider AND ties.created_at = in_order.created_at
    WHERE
        in_order.scope IN ('', ties.lane) AND ties.session_id < in_order.session_id
        AND (in_order.previous_at IS DISTINCT FROM in_order.created_at OR ties.session_id > in_order.previous_id)
    UNION ALL
    SELECT DISTINCT in_order.provider, in_order.scope, in_order.session_id, false
    FROM in_order
    INNER JOIN ties ON ties.provider = in_order.provider AND ties.created_at = in_order.previous_at
    WHERE
        in_order.scope IN ('', ties.lane) AND ties.session_id > in_order.previous_id
        AND in_order.created_at > in_order.previous_at
),

in_runs AS MATERIALIZED (
    SELECT
        in_order.*,
        CASE WHEN just_after.session_id IS NULL THEN success_at ELSE created_at END AS last_success_at,
        count(*) FILTER (
            previous_at IS NULL OR success_at > previous_at OR just_after.session_id IS NOT NULL
            OR followed.session_id IS NOT NULL
        ) OVER (PARTITION BY provider, scope ORDER BY created_at, session_id) AS run
    FROM in_order
    LEFT JOIN (SELECT * FROM tied WHERE is_just_after) AS just_after USING (provider, scope, session_id)
    LEFT JOIN (SELECT * FROM tied WHERE NOT is_just_after) AS followed USING (provider, scope, session_id)
),

runs AS MATERIALIZED (
    SELECT
        provider, scope, run,
        min(created_at) AS began_at,
        began_at - to_days($days_before::INTEGER) AS counted_from,
        max(created_at) AS last_at,
        arg_max(session_id, {'at': created_at, 'id': session_id}) AS last_id,
        arg_min({'at': last_success_at}, {'at': created_at, 'id': session_id}).at AS last_success_at,
        date_trunc('day', began_at)::TIMESTAMP AS began_on,
        date_trunc('day', counted_from)::TIMESTAMP AS counted_on,
        date_trunc('day', last_at)::TIMESTAMP AS last_on
    FROM in_runs
    GROUP BY provider, scope, run
    HAVING count(DISTINCT (lane, part)) FILTER (part <> '') >= $least_subjects
),

-- Whole days are counted from their sums. Of the days at which counting begins and ends, and of that of the last failure,
-- single outcomes are.
around AS (
    SELECT
        runs.provider, runs.scope, runs.run,
        coalesce(sum(days.outcome_count) FILTER (day > counted_on AND day < began_on), 0) AS outcome_count,
        coalesce(sum(days.failed_count) FILTER (day > counted_on AND day < began_on), 0) AS failed_count,
        min(days.success_at) FILTER (day > last_on) AS success_at
    FROM runs
    INNER JOIN scopes USING (provider, scope)
    INNER JOIN lane_days AS days USING (provider, lane)
    GROUP BY ALL
    UNION ALL
    SELECT
        edges.provider, edges.scope, edges.run,
        count(*) FILTER (outcomes.created_at >= counted_from AND outcomes.created_at < began_at),
        count(*) FILTER (
            outcomes.is_failed AND outcomes.created_at >= counted_from AND outcomes.created_at < began_at
        ),
        min(outcomes.created_at) FILTER (NOT outcomes.is_failed AND outcomes.created_at > last_at)
    FROM (SELECT *, unnest(list_distinct([began_on, counted_on, last_on])) AS day FROM runs) AS edges
    INNER JOIN outcomes
        ON outcomes.provider = edges.provider AND date_trunc('day', outcomes.created_at)::TIMESTAMP = edges.day
    WHERE edges.scope IN ('', outcomes.lane)
    GROUP BY ALL
    UNION ALL
    SELECT runs.provider, runs.scope, runs.run, 0, 0, min(ties.created_at)
    FROM runs
    INNER JOIN ties ON ties.provider = runs.provider AND ties.created_at = runs.last_at
    WHERE runs.scope IN ('', ties.lane) AND ties.session_id > runs.last_id
    GROUP BY ALL
),

whole AS (
    SELECT
        provider, scope, run,
        sum(outcome_count) AS before_count,
        sum(failed_count) AS failed_before_count,
        min(success_at) AS ended_at
    FROM around
    GROUP BY ALL
)

SELECT
    in_runs.provider, nullif(in_runs.scope, '') AS scope, in_runs.run, in_runs.created_at, in_runs.session_id,
    in_runs.lane, in_runs.part, in_runs.status_code, runs.last_success_at, whole.ended_at,
    whole.before_count::BIGINT AS before_count, whole.failed_before_count::BIGINT AS failed_before_count
FROM in_runs
INNER JOIN runs USING (provider, scope, run)
INNER JOIN whole USING (provider, scope, run)
ORDER BY in_runs.provider, in_runs.scope, in_runs.run, in_runs.created_at, in_runs.session_id
