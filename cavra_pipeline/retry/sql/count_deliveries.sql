-- The lane's deliveries up to each instant: those up to the first are counted at once, the others by instant.
-- Pruned ones are before every instant.
WITH later AS (
    SELECT asked.number, count(*) AS more
    FROM deliveries
    ASOF JOIN asked($instants::TIMESTAMP[]) AS asked ON deliveries.created_at <= asked.as_of
    WHERE lane = $lane AND deliveries.created_at > list_min($instants::TIMESTAMP[])
    AND deliveries.created_at <= list_max($instants::TIMESTAMP[])
    GROUP BY asked.number
)

SELECT
    (SELECT count(*) FROM deliveries WHERE lane = $lane AND created_at <= list_min($instants::TIMESTAMP[]))
    + (SELECT coalesce(sum(delivery_count), 0)::BIGINT FROM pruned_lanes WHERE lane = $lane)
    + coalesce(sum(later.more) OVER (ORDER BY asked.number), 0)::BIGINT AS evidence_record_count
FROM asked($instants::TIMESTAMP[]) AS asked
LEFT JOIN later USING (number)
ORDER BY asked.number
