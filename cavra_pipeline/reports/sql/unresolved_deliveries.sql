-- Failing pairs with what was last acknowledged of each, and the instants that see them so.
WITH failing AS MATERIALIZED (
    SELECT subject, provider, failing_since, first_seen, last_seen
    FROM failing_states($lane, $instants::TIMESTAMP[], watched := 'watched_in_reach')
),

answers AS (
    SELECT
        subject,
        provider,
        acknowledgement_state,
        created_at,
        lead(created_at) OVER answered AS next_at,
        row_number() OVER answered AS place
    FROM attributed_records(
        $lane, list_max($instants::TIMESTAMP[]),
        settled_by := list_min($instants::TIMESTAMP[]), watched := 'watched_in_reach'
    )
    SEMI JOIN failing USING (subject, provider)
    WHERE record_type = 'acknowledgement'
    WINDOW answered AS (PARTITION BY subject, provider ORDER BY created_at, session_id)
),

placed AS (
    SELECT
        answers.*,
        opening.number AS first_seen,
        coalesce(closing.number, len($instants::TIMESTAMP[]) + 1) - 1 AS last_seen
    FROM answers
    ASOF JOIN numbered($instants::TIMESTAMP[]) AS opening ON answers.created_at <= opening.as_of
    ASOF LEFT JOIN numbered($instants::TIMESTAMP[]) AS closing
        ON coalesce(answers.next_at, TIMESTAMP 'infinity') <= closing.as_of
),

acknowledged AS (
    SELECT subject, provider, acknowledgement_state, first_seen, last_seen FROM placed
    UNION ALL
    -- Before the first answer there is none.
    SELECT subject, provider, NULL, 1, first_seen - 1 FROM placed WHERE place = 1
)

SELECT
    failing.subject,
    failing.provider,
    failing.failing_since,
    acknowledged.acknowledgement_state,
    coalesce(list_contains($clearing::VARCHAR[], acknowledged.acknowledgement_state), false) AS is_acknowledged,
    greatest(failing.first_seen, coalesce(acknowledged.first_seen, 1)) AS first_seen,
    least(failing.last_seen, coalesce(acknowledged.last_seen, len($instants::TIMESTAMP[]))) AS last_seen
FROM failing
LEFT JOIN acknowledged
    ON acknowledged.subject = failing.subject AND acknowledged.provider = failing.provider
    AND acknowledged.first_seen <= failing.last_seen AND acknowledged.last_seen >= failing.first_seen
ORDER BY failing.subject, failing.provider, first_seen, last_seen
