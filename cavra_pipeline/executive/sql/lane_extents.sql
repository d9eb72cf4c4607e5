-- How much evidence there is of each lane at each instant, how much comes after it, and when the newest of it was made.
WITH extents AS (
    SELECT
        evidence.lane,
        coalesce(asked.number, len($instants::TIMESTAMP[]) + 1) AS number,
        count(*) AS records,
        max(evidence.created_at) AS latest_at
    FROM evidence
    ASOF LEFT JOIN asked($instants::TIMESTAMP[]) AS asked ON evidence.created_at <= asked.as_of
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
    asked.number,
    coalesce(sum(placed.records) OVER so_far, 0)::BIGINT AS evidence_record_count,
    (lanes.every - coalesce(sum(placed.records) OVER so_far, 0))::BIGINT AS future_record_count,
    max(placed.latest_at) OVER so_far AS latest_record_at
FROM lanes
CROSS JOIN asked($instants::TIMESTAMP[]) AS asked
LEFT JOIN placed ON placed.lane = lanes.lane AND placed.number = asked.number
WINDOW so_far AS (PARTITION BY lanes.lane ORDER BY asked.number)
ORDER BY lanes.lane, asked.number
