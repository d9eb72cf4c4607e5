-- How much evidence there is of each lane at each instant, how much comes after it, and when the newest of it was made.
WITH extents AS (
    SELECT
        evidence.lane,
        coalesce(instants.number, len($instants::TIMESTAMP[]) + 1) AS number,
        count(*) AS records,
        max(evidence.created_at) AS latest_at
    FROM evidence
    ASOF LEFT JOIN numbered($instants::TIMESTAMP[]) AS instants ON evidence.created_at <= instants.as_of
    WHERE evidence.lane IS NOT NULL
    GROUP BY ALL
    UNION ALL
    -- What was pruned is before every instant.
    SELECT lane, 1, sum(evidence_record_count)::BIGINT, max(latest_record_at)
    FROM pruned_lanes
    GROUP BY lane
),

placed AS (
    SELECT lane, number, sum(records)::BIGINT AS records, max(latest_at) AS latest_at FROM extents GROUP BY ALL
),

lanes AS (
    SELECT lane, sum(records) AS every FROM placed GROUP BY lane
)

SELECT
    lanes.lane,
    instants.number,
    coalesce(sum(placed.records) OVER so_far, 0)::BIGINT AS evidence_record_count,
    (lanes.every - coalesce(sum(placed.records) OVER so_far, 0))::BIGINT AS future_record_count,
    max(placed.latest_at) OVER so_far AS latest_record_at
FROM lanes
CROSS JOIN numbered($instants::TIMESTAMP[]) AS instants
LEFT JOIN placed ON placed.lane = lanes.lane AND placed.number = instants.number
WINDOW so_far AS (PARTITION BY lanes.lane ORDER BY instants.number)
ORDER BY lanes.lane, instants.number
