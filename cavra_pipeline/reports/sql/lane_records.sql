-- The lane's records up to each instant and after it: those of the days before the first are counted already, the others by
-- instant. Pruned ones are before every instant. And the newest day with a worker run and with a retry plan before that of the
-- earliest window: from there on a history tells all that the instants ask.
WITH of_days AS (
    SELECT
        coalesce(sum(record_count), 0)::BIGINT AS whole,
        coalesce(sum(record_count) FILTER (segment_day < list_min($instants::TIMESTAMP[])::DATE), 0)::BIGINT AS before_day,
        max(segment_day) FILTER (
            record_type = 'worker_run' AND segment_day < list_min($window_starts::TIMESTAMP[])::DATE
        )::TIMESTAMP AS runs_since,
        max(segment_day) FILTER (
            record_type = 'retry_plan' AND segment_day < list_min($window_starts::TIMESTAMP[])::DATE
        )::TIMESTAMP AS plans_since
    FROM lane_days
    WHERE lane = $lane
),

counted AS (
    SELECT unnest(map_keys(counts)) AS as_of, unnest(map_values(counts)) AS more
    FROM (
        SELECT histogram(created_at, $instants::TIMESTAMP[]) AS counts
        FROM evidence
        WHERE
            lane = $lane AND created_at >= list_min($instants::TIMESTAMP[])::DATE
            AND created_at <= list_max($instants::TIMESTAMP[])
    )
),

pruned AS (
    SELECT coalesce(sum(evidence_record_count), 0)::BIGINT AS pruned_count FROM pruned_lanes WHERE lane = $lane
),

up_to AS (
    SELECT
        instants.number,
        of_days.whole,
        of_days.runs_since,
        of_days.plans_since,
        pruned.pruned_count,
        of_days.before_day + coalesce(sum(counted.more) OVER (ORDER BY instants.number), 0)::BIGINT AS seen_count
    FROM numbered($instants::TIMESTAMP[]) AS instants
    LEFT JOIN counted USING (as_of)
    CROSS JOIN of_days
    CROSS JOIN pruned
)

SELECT
    seen_count + pruned_count AS evidence_record_count, whole - seen_count AS future_record_count, runs_since, plans_since
FROM up_to
ORDER BY number
