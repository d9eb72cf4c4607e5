-- What each lane's records add to the counts at each instant, over what the instants before it have seen. Pruned records
-- are before every instant.
WITH placed AS (
    SELECT 1 AS number, *
    FROM evidence
    WHERE lane IS NOT NULL AND created_at <= list_min($instants::TIMESTAMP[])
    UNION ALL
    SELECT instants.number, evidence.*
    FROM evidence
    ASOF JOIN numbered($instants::TIMESTAMP[]) AS instants ON evidence.created_at <= instants.as_of
    WHERE lane IS NOT NULL AND evidence.created_at > list_min($instants::TIMESTAMP[])
)

SELECT
    number,
    lane,
    {{lane_counts}}
FROM placed
GROUP BY number, lane
UNION ALL BY NAME
SELECT 1 AS number, * EXCLUDE (latest_record_at, delivery_count)
FROM pruned_lanes
ORDER BY number, lane
