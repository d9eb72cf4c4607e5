-- The lane's deliveries up to each instant: those of the days before the first are counted already, the others by instant.
-- Pruned ones are before every instant.
WITH counted AS (
    SELECT unnest(map_keys(counts)) AS as_of, unnest(map_values(counts)) AS more
    FROM (
        SELECT histogram(created_at, $instants::TIMESTAMP[]) AS counts
        FROM deliveries
        WHERE
            lane = $lane AND created_at >= list_min($instants::TIMESTAMP[])::DATE
            AND created_at <= list_max($instants::TIMESTAMP[])
    )
),

before AS (
    SELECT coalesce(sum(record_count), 0)::BIGINT AS delivery_count
    FROM lane_days
    WHERE lane = $lane AND record_type = 'delivery' AND segment_day < list_min($instants::TIMESTAMP[])::DATE
),

pruned AS (
    SELECT coalesce(sum(delivery_count), 0)::BIGINT AS delivery_count FROM pruned_lanes WHERE lane = $lane
)

SELECT
    before.delivery_count + pruned.delivery_count
    + coalesce(sum(counted.more) OVER (ORDER BY instants.number), 0)::BIGINT AS evidence_record_count
FROM numbered($instants::TIMESTAMP[]) AS instants
LEFT JOIN counted USING (as_of)
CROSS JOIN before
CROSS JOIN pruned
ORDER BY instants.number
