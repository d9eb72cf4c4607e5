-- How many pairs' newest execution failed or was skipped, with nothing delivered since and no answer that closes it:
-- how many more, or fewer, from an instant on. Read from the histories of those pairs: executions, successful
-- deliveries and acknowledgements, in order of (created_at, session_id).
WITH seen AS (
    SELECT record_type, subject, provider, created_at, session_id, outcomes, acknowledgement_state, execution_status
    FROM watched_records
    WHERE lane = $lane AND created_at <= list_max($instants::TIMESTAMP[])
),

executed AS (
    SELECT
        coalesce(subject, '') AS subject,
        coalesce(provider, '') AS provider,
        created_at,
        session_id,
        execution_status
    FROM seen
    WHERE record_type = 'execution'
),

suspects AS MATERIALIZED (
    SELECT DISTINCT subject, provider FROM executed WHERE execution_status <> 'delivered'
),

delivered AS (
    SELECT subject, created_at, session_id, unnest(outcomes, max_depth := 2)
    FROM seen
    SEMI JOIN suspects USING (subject)
    WHERE record_type = 'delivery'
),

histories AS (
    SELECT subject, provider, created_at, session_id, execution_status = 'delivered' AS is_delivered, NULL AS answer
    FROM executed
    SEMI JOIN suspects USING (subject, provider)
    UNION ALL
    SELECT subject, provider, created_at, session_id, true, NULL
    FROM delivered
    SEMI JOIN suspects USING (subject, provider)
    WHERE NOT is_failed
    UNION ALL
    SELECT subject, provider, created_at, session_id, NULL, acknowledgement_state
    FROM seen
    SEMI JOIN suspects USING (subject, provider)
    WHERE record_type = 'acknowledgement'
),

states AS (
    SELECT
        created_at,
        coalesce(last_value(is_delivered IGNORE NULLS) OVER so_far, true) AS is_delivered,
        coalesce(list_contains($closing::VARCHAR[], last_value(answer IGNORE NULLS) OVER so_far), false) AS is_closed,
        lead(created_at) OVER so_far AS next_at
    FROM histories
    WINDOW so_far AS (PARTITION BY subject, provider ORDER BY created_at, session_id)
),

placed AS (
    SELECT opening.number AS first_seen, coalesce(closing.number, len($instants::TIMESTAMP[]) + 1) AS first_unseen
    FROM states
    ASOF JOIN asked($instants::TIMESTAMP[]) AS opening ON states.created_at <= opening.as_of
    ASOF LEFT JOIN asked($instants::TIMESTAMP[]) AS closing
        ON coalesce(states.next_at, TIMESTAMP 'infinity') <= closing.as_of
    -- What the first instant no longer sees, none does.
    WHERE
        NOT states.is_delivered AND NOT states.is_closed
        AND coalesce(states.next_at, TIMESTAMP 'infinity') > list_min($instants::TIMESTAMP[])
),

changes AS (
    SELECT first_seen AS number, 1 AS change FROM placed
    UNION ALL
    SELECT first_unseen, -1 FROM placed
),

by_number AS (
    SELECT number, sum(change) AS change FROM changes GROUP BY number
)

SELECT coalesce(sum(by_number.change) OVER (ORDER BY asked.number), 0)::BIGINT AS unresolved_failed_execution_count
FROM asked($instants::TIMESTAMP[]) AS asked
LEFT JOIN by_number USING (number)
ORDER BY asked.number
