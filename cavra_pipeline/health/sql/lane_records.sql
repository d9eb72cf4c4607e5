-- The lane's records up to each instant and after it: those up to the first are counted at once, the others by instant.
-- Pruned ones are before every instant.
WITH later AS (
    SELECT coalesce(asked.number, len($instants::TIMESTAMP[]) + 1) AS number, count(*) AS more
    FROM evidence
    ASOF LEFT JOIN asked($instants::TIMESTAMP[]) AS asked ON evidence.created_at <= asked.as_of
    WHERE lane = $lane AND evidence.created_at > list_min($instants::TIMESTAMP[])
    GROUP BY ALL
),

counted AS (
    SELECT
        asked.number,
        (SELECT count(*) FROM evidence WHERE lane = $lane)
        + (SELECT coalesce(sum(evidence_record_count), 0)::BIGINT FROM pruned_lanes WHERE lane = $lane) AS every,
        coalesce(sum(later.more) OVER (ORDER BY asked.number DESC), 0)::BIGINT AS future_record_count
    FROM asked($instants::TIMESTAMP[]) AS asked
    LEFT JOIN later ON later.number = asked.number + 1
)

SELECT every - future_record_count AS evidence_record_count, future_record_count
FROM counted
ORDER BY number
