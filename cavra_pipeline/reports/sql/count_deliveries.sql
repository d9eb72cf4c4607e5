-- The lane's deliveries up to each instant: those up to the first are counted at once, the others by instant.
-- Pruned ones are before every instant.
WITH counted AS (
    SELECT unnest(map_keys(counts)) AS as_of, unnest(map_values(counts)) AS more
    FROM (
        SELECT histogram(created_at, $instants::TIMESTAMP[]) AS counts
        FROM deliveries
        WHERE
            lane = $lane AND created_at > list_min($instants::TIMESTAMP[])
            AND created_at <= list_max($instants::TIMESTAMP[])
    )
)

SELECT
    (SELECT count(*) FROM deliveries WHERE lane = $lane AND created_at <= list_min($instants::TIMESTAMP[]))
    + (SELECT coalesce(sum(delivery_count), 0)::BIGINT FROM pruned_lanes WHERE lane = $lane)
    + coalesce(sum(counted.more) OVER (ORDER BY instants.number), 0)::BIGINT AS evidence_record_count
FROM numbered($instants::TIMESTAMP[]) AS instants
LEFT JOIN counted USING (as_of)
ORDER BY instants.number
