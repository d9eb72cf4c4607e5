-- What each pair of a lane is judged by, oldest first; a retry belongs to the subject that was tried first (contract
-- section 4a).
WITH roots AS (
    SELECT subject AS child, provider, first_subject FROM retried_subjects WHERE lane = $lane
),

links AS (
    SELECT link.retried_as, link.provider, coalesce(roots.first_subject, link.subject) AS subject
    FROM retry_links AS link
    LEFT JOIN roots ON roots.child = link.subject AND roots.provider = link.provider
    WHERE link.lane = $lane
),

records AS ({{records}}),

histories AS (
    SELECT coalesce(links.subject, sent.subject) AS subject, sent.provider, created_at, session_id, content
    FROM (
        SELECT subject, unnest(list_distinct(outcomes.apply(lambda outcome: outcome.provider))) AS provider, created_at,
            session_id, content
        FROM records
        WHERE record_type = 'delivery'
    ) AS sent
    LEFT JOIN links ON links.retried_as = sent.session_id AND links.provider = sent.provider
    UNION ALL
    SELECT coalesce(roots.first_subject, record.subject), record.provider, created_at, session_id, content
    FROM records AS record
    LEFT JOIN roots ON roots.child = record.subject AND roots.provider = record.provider
    WHERE record_type <> 'delivery'
)

SELECT {{place}} AS place, list(content ORDER BY created_at, session_id) AS history
FROM histories
WHERE subject <> '' AND provider <> '' AND {{pair}}
GROUP BY subject, provider
