-- The newest delivery of each pair, also one that a wrong clock, by up to a day, has dated after now: a live send must
-- not be blind to it.
SELECT
    subject,
    provider,
    last(session_id ORDER BY created_at, session_id) AS latest_delivery_id,
    last(is_failed ORDER BY created_at, session_id) AS is_failed
FROM delivery_outcomes
WHERE
    lane = $lane AND list_contains($subjects::VARCHAR[], subject)
    AND created_at <= $as_of::TIMESTAMP + INTERVAL 1 DAY
GROUP BY subject, provider
ORDER BY subject, provider
