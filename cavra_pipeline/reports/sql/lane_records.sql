-- The lane's records up to each instant and after it: those up to the first are counted at once, the others by instant.
-- Pruned ones are before every instant.
WITH counted AS (
    SELECT unnest(map_keys(counts)) AS as_of, unnest(map_values(counts)) AS more
    FROM (
        SELECT histogram(created_at, $instants::TIMESTAMP[]) AS counts
        FROM evidence
        WHERE
            lane = $lane AND created_at > list_min($instants::TIMESTAMP[])
            AND created_at <= list_max($instants::TIMESTAMP[])
    )
),

up_to AS (
    SELECT
        asked.number,
        (SELECT count(*) FROM evidence WHERE lane = $lane AND created_at <= list_min($instants::TIMESTAMP[]))
        + (SELECT coalesce(sum(evidence_record_count), 0)::BIGINT FROM pruned_lanes WHERE lane = $lane)
        + coalesce(sum(counted.more) OVER (ORDER BY asked.number), 0)::BIGINT AS evidence_record_count
    FROM asked($instants::TIMESTAMP[]) AS asked
    LEFT JOIN counted USING (as_of)
)

SELECT
    evidence_record_count,
    (SELECT count(*) FROM evidence WHERE lane = $lane)
    + (SELECT coalesce(sum(evidence_record_count), 0)::BIGINT FROM pruned_lanes WHERE lane = $lane)
    - evidence_record_count AS future_record_count
FROM up_to
ORDER BY number
