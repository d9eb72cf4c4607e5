-- The newest delivery of each pair that has not arrived, also one that a wrong clock has dated after now: a live send must
-- not be blind to it.
SELECT subject, provider, last(session_id ORDER BY created_at, session_id) AS latest_delivery_id
FROM attributed_outcomes($lane, $until::TIMESTAMP)
WHERE list_contains($subjects::VARCHAR[], subject)
GROUP BY subject, provider
HAVING bool_and(is_failed)
ORDER BY subject, provider
