-- The lane's records up to each instant and after it: those up to the first are counted at once, the others by instant.
-- Pruned ones are before every instant. And the newest worker run and retry plan before the earliest window: from there on
-- a history tells all that the instants ask.
WITH of_lane AS MATERIALIZED (
    SELECT
        count(*) AS whole,
        count(*) FILTER (created_at <= list_min($instants::TIMESTAMP[])) AS up_to_first,
        histogram(created_at, $instants::TIMESTAMP[]) FILTER (
            created_at > list_min($instants::TIMESTAMP[]) AND created_at <= list_max($instants::TIMESTAMP[])
        ) AS counts,
        max(created_at) FILTER (
            record_type = 'worker_run' AND created_at <= list_min($window_starts::TIMESTAMP[])
        ) AS runs_since,
        max(created_at) FILTER (
            record_type = 'retry_plan' AND created_at <= list_min($window_starts::TIMESTAMP[])
        ) AS plans_since
    FROM evidence
    WHERE lane = $lane
),

counted AS (
    SELECT unnest(map_keys(counts)) AS as_of, unnest(map_values(counts)) AS more FROM of_lane
),

pruned AS (
    SELECT coalesce(sum(evidence_record_count), 0)::BIGINT AS pruned_count FROM pruned_lanes WHERE lane = $lane
),

up_to AS (
    SELECT
        instants.number,
        of_lane.runs_since,
        of_lane.plans_since,
        of_lane.whole - of_lane.up_to_first AS after_first,
        of_lane.up_to_first + pruned.pruned_count AS before_first,
        coalesce(sum(counted.more) OVER (ORDER BY instants.number), 0)::BIGINT AS since_first
    FROM numbered($instants::TIMESTAMP[]) AS instants
    LEFT JOIN counted USING (as_of)
    CROSS JOIN of_lane
    CROSS JOIN pruned
)

SELECT
    before_first + since_first AS evidence_record_count, after_first - since_first AS future_record_count,
    runs_since, plans_since
FROM up_to
ORDER BY number
