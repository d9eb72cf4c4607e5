-- Every spell for which a recovery was open, worked out from the evidence up to an instant (docs/executive-report.md).
-- A route (subject, provider) is closed while its newest acknowledgement is a closing one and its newest delivery did
-- not fail; a recovery is open while one of its routes is not closed, or while it has no route at all.
WITH plans AS (
    SELECT
        coalesce(nullif(plan_id, ''), session_id) AS subject,
        created_at,
        session_id,
        selected_providers
    FROM escalation_plans
    WHERE
        created_at <= $as_of
        AND escalation_count IS DISTINCT FROM 0
        AND NOT regexp_full_match(coalesce(plan_id, ''), $own_plan)
),

recoveries AS (
    SELECT subject, min(created_at) AS first_opened_at FROM plans GROUP BY subject
),

routes AS (
    SELECT
        subject,
        provider_name(unnest(selected_providers)) AS provider,
        created_at,
        session_id,
        NULL::VARCHAR AS acknowledgement_state,
        NULL::BOOLEAN AS is_failed
    FROM plans
    UNION ALL
    SELECT subject, provider, created_at, session_id, acknowledgement_state, NULL
    FROM acknowledgements
    WHERE lane = $lane AND created_at <= $as_of
    UNION ALL
    SELECT subject, provider, created_at, session_id, NULL, is_failed
    FROM delivery_outcomes
    WHERE lane = $lane AND created_at <= $as_of
    UNION ALL
    SELECT subject, provider, created_at, session_id, NULL, NULL
    FROM executions
    WHERE lane = $lane AND created_at <= $as_of
),

route_states AS (
    SELECT
        subject,
        provider,
        created_at,
        session_id,
        coalesce(list_contains($closing::VARCHAR[], last_value(acknowledgement_state IGNORE NULLS) OVER so_far), false)
        AND NOT coalesce(last_value(is_failed IGNORE NULLS) OVER so_far, false) AS is_closed
    FROM routes
    INNER JOIN recoveries USING (subject)
    WHERE provider <> ''
    WINDOW so_far AS (
        PARTITION BY subject, provider ORDER BY created_at, session_id ROWS UNBOUNDED PRECEDING
    )
),

steps AS (
    SELECT
        subject,
        created_at,
        (row_number() OVER in_order = 1)::BIGINT AS route_step,
        is_closed::BIGINT - coalesce(lag(is_closed::BIGINT) OVER in_order, 0) AS closed_step
    FROM route_states
    WINDOW in_order AS (PARTITION BY subject, provider ORDER BY created_at, session_id)
    UNION ALL
    SELECT subject, first_opened_at, 0, 0 FROM recoveries
),

-- What came before the plan counts from the plan on; what came at one instant counts together.
instants AS (
    SELECT
        subject,
        greatest(steps.created_at, recoveries.first_opened_at) AS changed_at,
        sum(route_step) AS route_step,
        sum(closed_step) AS closed_step
    FROM steps
    INNER JOIN recoveries USING (subject)
    GROUP BY ALL
),

standing AS (
    SELECT
        subject,
        changed_at,
        sum(route_step) OVER so_far = 0 OR sum(closed_step) OVER so_far < sum(route_step) OVER so_far AS is_open
    FROM instants
    WINDOW so_far AS (PARTITION BY subject ORDER BY changed_at ROWS UNBOUNDED PRECEDING)
),

turns AS (
    SELECT subject, changed_at, is_open, lag(is_open) OVER in_order AS was_open
    FROM standing
    WINDOW in_order AS (PARTITION BY subject ORDER BY changed_at)
    QUALIFY was_open IS NULL OR was_open <> is_open
),

-- A recovery whose routes were all closed before its plan was written opens and closes at one instant.
spells AS (
    SELECT
        subject,
        changed_at AS opened_at,
        CASE WHEN is_open THEN lead(changed_at) OVER in_order ELSE changed_at END AS closed_at
    FROM turns
    WINDOW in_order AS (PARTITION BY subject ORDER BY changed_at)
    QUALIFY is_open OR was_open IS NULL
)

SELECT subject, opened_at, closed_at, row_number() OVER (PARTITION BY subject ORDER BY opened_at) AS spell_number
FROM spells
ORDER BY opened_at, subject
