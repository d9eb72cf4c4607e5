-- Intents of retries, with what their message says: when the failure was, and how often the pair had failed by then.
SELECT
    i.*,
    coalesce(d.created_at, i.claimed_at) AS latest_delivery_at,
    greatest(1, (
        SELECT count(*)
        FROM delivery_outcomes AS o
        WHERE
            o.lane = i.lane AND o.subject = i.subject AND o.provider = i.provider AND o.is_failed
            AND o.created_at <= coalesce(d.created_at, i.claimed_at)
    )) AS retry_count
FROM retry_intents AS i
LEFT JOIN deliveries AS d ON d.session_id = i.latest_delivery_id
ORDER BY i.claimed_at, i.execution_id
