-- How many pairs' newest execution failed or was skipped, that are not settled and that no answer closes, at each instant,
-- by provider and by the reason why one was skipped, and by subject if wanted. Read from the histories of those pairs:
-- executions, successful deliveries and acknowledgements, in order of (created_at, session_id).
WITH records AS MATERIALIZED (
    FROM attributed_records(
        $lane, list_max($instants::TIMESTAMP[]), settled_by := list_min($instants::TIMESTAMP[]), watched := {{watched}}
    )
),

deliveries AS MATERIALIZED (
    SELECT subject, provider, created_at, session_id
    FROM attributed_outcomes(
        $lane, list_max($instants::TIMESTAMP[]), settled_by := list_min($instants::TIMESTAMP[]), watched := {{watched}}
    )
    WHERE NOT is_failed
),

-- What was settled before the first instant is at none.
suspects AS MATERIALIZED (
    SELECT DISTINCT subject, provider
    FROM records
    ANTI JOIN (FROM deliveries WHERE created_at <= list_min($instants::TIMESTAMP[])) AS settled
        USING (subject, provider)
    WHERE record_type = 'execution' AND execution_status <> 'delivered'
),

histories AS (
    SELECT
        subject, provider, created_at, session_id, false AS is_settled,
        -- The newest counts also where it says nothing.
        CASE WHEN record_type = 'acknowledgement' THEN coalesce(acknowledgement_state, '') END AS answer,
        CASE WHEN record_type = 'execution' THEN {'status': execution_status, 'reason': skip_reason} END AS execution
    FROM records
    SEMI JOIN suspects USING (subject, provider)
    WHERE record_type IN ('execution', 'acknowledgement')
    UNION ALL
    SELECT subject, provider, created_at, session_id, true, NULL, NULL
    FROM deliveries
    SEMI JOIN suspects USING (subject, provider)
),

states AS (
    SELECT
        subject,
        provider,
        created_at,
        max(CASE WHEN execution IS NOT NULL THEN created_at END) OVER so_far AS executed_at,
        last_value(execution IGNORE NULLS) OVER so_far AS execution,
        bool_or(is_settled) OVER so_far AS is_settled,
        coalesce(list_contains($closing::VARCHAR[], last_value(answer IGNORE NULLS) OVER so_far), false) AS is_closed,
        lead(created_at) OVER so_far AS next_at
    FROM histories
    WINDOW so_far AS (PARTITION BY subject, provider ORDER BY created_at, session_id)
),

placed AS (
    SELECT
        CASE WHEN $is_by_subject::BOOLEAN THEN states.subject END AS subject,
        states.provider,
        states.execution.reason AS reason,
        states.executed_at,
        opening.number AS first_seen,
        coalesce(closing.number, len($instants::TIMESTAMP[]) + 1) AS first_unseen
    FROM states
    ASOF JOIN numbered($instants::TIMESTAMP[]) AS opening ON states.created_at <= opening.as_of
    ASOF LEFT JOIN numbered($instants::TIMESTAMP[]) AS closing
        ON coalesce(states.next_at, TIMESTAMP 'infinity') <= closing.as_of
    -- What the first instant no longer sees, none does.
    WHERE
        coalesce(states.execution.status, 'delivered') <> 'delivered' AND NOT states.is_settled AND NOT states.is_closed
        AND coalesce(states.next_at, TIMESTAMP 'infinity') > list_min($instants::TIMESTAMP[])
)

SELECT
    subject, provider, first_seen, first_unseen - 1 AS last_seen, coalesce(reason, '') AS reason,
    count(*) AS execution_count, min(executed_at) AS failed_at
FROM placed
WHERE first_seen < first_unseen
GROUP BY subject, provider, first_seen, first_unseen, reason
ORDER BY provider, subject, first_seen, first_unseen, reason
