-- The subject that was tried first of each of some failed outcomes (contract section 4a), and when a delivery of that pair
-- first succeeded. Of the deliveries only those of these subjects, and their retries, are read.
WITH failed_outcomes AS MATERIALIZED (
    SELECT lane, session_id, subject, outcome.provider AS provider
    FROM (
        SELECT lane, session_id, subject, unnest(outcomes) AS outcome
        FROM watched_records
        SEMI JOIN (SELECT unnest($session_ids::VARCHAR[]) AS session_id) AS ids USING (session_id)
        WHERE
            record_type = 'delivery' AND is_failed
            AND created_at >= $since::TIMESTAMP AND created_at <= $until::TIMESTAMP
    )
    WHERE outcome.is_failed
),

roots AS MATERIALIZED (
    {{roots}}
),

links AS (
    SELECT lane, retried_as AS session_id, provider, subject, sent_at
    FROM retry_links
    WHERE linked_at <= $until::TIMESTAMP
),

failures AS MATERIALIZED (
    SELECT failed.lane, failed.session_id, failed.provider, coalesce(roots.root, links.subject, failed.subject) AS subject
    FROM failed_outcomes AS failed
    LEFT JOIN links USING (lane, session_id, provider)
    LEFT JOIN roots ON roots.lane = links.lane AND roots.child = links.subject AND roots.provider = links.provider
),

pairs AS MATERIALIZED (
    SELECT DISTINCT lane, subject, provider FROM failures
),

-- Every subject by which an execution may name what it retried.
names AS MATERIALIZED (
    SELECT lane, provider, roots.child AS name, subject
    FROM roots
    INNER JOIN pairs USING (lane, provider)
    WHERE roots.root = pairs.subject
    UNION ALL
    SELECT lane, provider, subject AS name, subject
    FROM pairs
    ANTI JOIN roots ON roots.lane = pairs.lane AND roots.provider = pairs.provider AND roots.child = pairs.subject
),

retries AS MATERIALIZED (
    SELECT lane, links.session_id, links.sent_at, provider, names.subject
    FROM links
    INNER JOIN names USING (lane, provider)
    WHERE links.subject = names.name
),

deliveries AS NOT MATERIALIZED (
    SELECT lane, subject, session_id, created_at, outcomes
    FROM watched_records
    WHERE record_type = 'delivery' AND created_at <= $until::TIMESTAMP
),

settled AS (
    SELECT lane, subject, provider, min(created_at) AS settled_at
    FROM (
        SELECT retries.lane, retries.subject, retries.provider, retries.sent_at AS created_at
        FROM retries
        INNER JOIN (
            SELECT lane, session_id, created_at, unnest(outcomes) AS outcome
            FROM deliveries
            SEMI JOIN retries ON retries.session_id = deliveries.session_id AND retries.sent_at = deliveries.created_at
        ) AS sent
            ON sent.lane = retries.lane AND sent.session_id = retries.session_id
            AND sent.outcome.provider = retries.provider
        WHERE NOT sent.outcome.is_failed
        UNION ALL
        SELECT lane, subject, provider, created_at
        FROM (
            SELECT lane, subject, session_id, created_at, outcome.provider AS provider
            FROM (
                SELECT lane, subject, session_id, created_at, unnest(outcomes) AS outcome
                FROM deliveries
                SEMI JOIN pairs USING (lane, subject)
            )
            WHERE NOT outcome.is_failed
        )
        ANTI JOIN links USING (lane, session_id, provider)
    )
    GROUP BY lane, subject, provider
)

SELECT failures.lane, failures.session_id, failures.provider, failures.subject, settled.settled_at
FROM failures
LEFT JOIN settled USING (lane, subject, provider)
WHERE failures.subject IS NOT NULL
