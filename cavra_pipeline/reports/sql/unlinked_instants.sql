-- Which of the ascending instants, numbered from 1, lie between the first record of a retry's subject and the link to the
-- subject that it retries.
WITH executions AS (
    SELECT subject, created_at, retried_as
    FROM watched_records
    WHERE
        lane = $lane AND record_type = 'execution' AND retried_as IS NOT NULL
        AND created_at <= list_max($instants::TIMESTAMP[])
),

deliveries AS (
    SELECT subject, created_at, session_id FROM watched_records WHERE lane = $lane AND record_type = 'delivery'
),

-- Of those whose link is older than every instant nothing is asked.
links AS MATERIALIZED (
    SELECT sent.subject, greatest(execution.created_at, sent.created_at) AS linked_at
    FROM executions AS execution
    INNER JOIN deliveries AS sent ON sent.session_id = execution.retried_as
    WHERE sent.subject <> execution.subject AND execution.created_at > list_min($instants::TIMESTAMP[])
    UNION ALL
    SELECT sent.subject, greatest(execution.created_at, sent.created_at)
    FROM executions AS execution
    INNER JOIN deliveries AS sent ON sent.session_id = execution.retried_as
    WHERE sent.subject <> execution.subject AND sent.created_at > list_min($instants::TIMESTAMP[])
),

named AS (
    SELECT subject, min(created_at) AS since
    FROM watched_records
    SEMI JOIN links USING (subject)
    WHERE lane = $lane
    GROUP BY subject
),

spans AS (
    SELECT opening.number AS first, coalesce(closing.number, len($instants::TIMESTAMP[]) + 1) AS after_last
    FROM (SELECT since, linked_at FROM links INNER JOIN named USING (subject)) AS span
    ASOF JOIN asked($instants::TIMESTAMP[]) AS opening ON span.since <= opening.as_of
    ASOF LEFT JOIN asked($instants::TIMESTAMP[]) AS closing ON span.linked_at <= closing.as_of
)

SELECT DISTINCT unnest(range(first, after_last)) AS number
FROM spans
WHERE first < after_last
ORDER BY number
