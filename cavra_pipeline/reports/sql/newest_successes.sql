-- The newest success of each of some providers in each lane, between two instants.
SELECT provider, lane, max(created_at) AS success_at
FROM delivery_outcomes
WHERE
    NOT is_failed AND lane IS NOT NULL AND created_at >= $since::TIMESTAMP AND created_at <= $until::TIMESTAMP
    AND list_contains($providers::VARCHAR[], provider)
GROUP BY provider, lane
ORDER BY provider, lane
