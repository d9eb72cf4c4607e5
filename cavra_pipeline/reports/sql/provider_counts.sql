-- Deliveries by lane and provider that each instant sees and the instants before it do not. Pruned
-- ones are before every instant.
WITH placed AS (
    SELECT 1 AS number, lane, provider, is_failed
    FROM delivery_outcomes
    WHERE lane IS NOT NULL AND created_at <= list_min($instants::TIMESTAMP[])
    UNION ALL
    SELECT instants.number, lane, provider, is_failed
    FROM delivery_outcomes
    ASOF JOIN numbered($instants::TIMESTAMP[]) AS instants ON delivery_outcomes.created_at <= instants.as_of
    WHERE lane IS NOT NULL AND delivery_outcomes.created_at > list_min($instants::TIMESTAMP[])
)

SELECT
    number,
    lane,
    provider,
    count(*) FILTER (is_failed) AS failed_delivery_count,
    count(*) FILTER (NOT is_failed) AS delivered_delivery_count
FROM placed
GROUP BY number, lane, provider
UNION ALL BY NAME
SELECT 1 AS number, *
FROM pruned_providers
ORDER BY number, lane, provider
