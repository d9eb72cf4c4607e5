-- The subject that was tried first of each of some failed outcomes, and when a delivery of that pair first succeeded.
WITH attributed AS MATERIALIZED (
    SELECT lane, session_id, provider, subject, is_failed, created_at FROM ({{attributed}})
),

failures AS MATERIALIZED (
    SELECT lane, session_id, provider, subject
    FROM attributed
    SEMI JOIN (SELECT unnest($session_ids::VARCHAR[]) AS session_id) AS asked USING (session_id)
    WHERE is_failed
)

SELECT failures.lane, failures.session_id, failures.provider, failures.subject, pairs.settled_at
FROM failures
LEFT JOIN (
    SELECT lane, subject, provider, min(created_at) AS settled_at
    FROM attributed
    SEMI JOIN failures USING (lane, subject, provider)
    WHERE NOT is_failed
    GROUP BY ALL
) AS pairs USING (lane, subject, provider)
