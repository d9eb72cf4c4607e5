-- The lane's deliveries up to each instant.
WITH counted AS (
    SELECT unnest(map_keys(counts)) AS as_of, unnest(map_values(counts)) AS more
    FROM (
        SELECT histogram(created_at, $instants::TIMESTAMP[]) AS counts
        FROM deliveries
        WHERE lane = $lane AND created_at <= list_max($instants::TIMESTAMP[])
    )
)

SELECT coalesce(sum(counted.more) OVER (ORDER BY asked.number), 0)::BIGINT AS evidence_record_count
FROM asked($instants::TIMESTAMP[]) AS asked
LEFT JOIN counted USING (as_of)
ORDER BY asked.number
