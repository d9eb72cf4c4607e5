-- Deliveries of archive-reference health alerts, which belong to no lane: by (health report, provider) when the first was
-- tried and when the first arrived.
WITH sent AS (
    SELECT {{subject}} AS health_id, created_at, unnest(outcomes) AS outcome
    FROM evidence
    WHERE record_type = 'delivery' AND connector_delivery_source = $source AND created_at <= $until
)

SELECT
    health_id,
    outcome.provider AS provider,
    min(created_at) AS tried_at,
    min(created_at) FILTER (NOT outcome.is_failed) AS arrived_at
FROM sent
WHERE health_id IS NOT NULL
GROUP BY health_id, outcome.provider
ORDER BY health_id, outcome.provider
