-- The newest delivery of each pair that has not arrived, also one that a wrong clock, by up to a day, has dated after now:
-- a live send must not be blind to it.
SELECT subject, provider, last(session_id ORDER BY created_at, session_id) AS latest_delivery_id
FROM attributed_outcomes($lane, $as_of::TIMESTAMP + INTERVAL 1 DAY)
WHERE list_contains($subjects::VARCHAR[], subject)
GROUP BY subject, provider
HAVING bool_and(is_failed)
ORDER BY subject, provider
