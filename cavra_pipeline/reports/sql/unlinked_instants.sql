-- Which of the ascending instants, numbered from 1, lie between the first record of a retry's subject and the link to the
-- subject that it retries. A retry without a subject is a record of its own. One that keeps the subject of a retry before it
-- belongs to the subject that was tried first, too, once it is linked.
WITH links AS MATERIALIZED (
    SELECT retry_subject AS subject, sent_at, greatest(linked_at, sent_at) AS linked_at
    FROM retry_links
    -- Of those whose link is older than every instant nothing is asked.
    WHERE
        lane = $lane AND sent_at IS NOT NULL
        AND (
            retry_subject IS DISTINCT FROM subject
            OR (subject, provider) IN (
                SELECT (subject, provider) FROM retried_subjects WHERE lane = $lane AND first_subject <> subject
            )
        )
        AND greatest(linked_at, sent_at) > list_min($instants::TIMESTAMP[])
        AND linked_at <= list_max($instants::TIMESTAMP[])
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
    FROM (
        SELECT coalesce(named.since, links.sent_at) AS since, links.linked_at FROM links LEFT JOIN named USING (subject)
    ) AS span
    ASOF JOIN numbered($instants::TIMESTAMP[]) AS opening ON span.since <= opening.as_of
    ASOF LEFT JOIN numbered($instants::TIMESTAMP[]) AS closing ON span.linked_at <= closing.as_of
)

SELECT DISTINCT unnest(range(first, after_last)) AS number
FROM spans
WHERE first < after_last
ORDER BY number
