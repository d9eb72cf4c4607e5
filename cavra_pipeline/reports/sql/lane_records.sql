-- The lane's records up to each instant and after it; pruned ones are before every instant. And the newest day with a worker
-- run and with a retry plan before that of the earliest window: from there on a history tells all that the instants ask.
SELECT
    seen_count + (SELECT coalesce(sum(evidence_record_count), 0)::BIGINT FROM pruned_lanes WHERE lane = $lane)
        AS evidence_record_count,
    whole - seen_count AS future_record_count,
    days.runs_since,
    days.plans_since
FROM records_up_to($lane, $instants::TIMESTAMP[], NULL)
CROSS JOIN (
    SELECT
        max(segment_day) FILTER (record_type = 'worker_run')::TIMESTAMP AS runs_since,
        max(segment_day) FILTER (record_type = 'retry_plan')::TIMESTAMP AS plans_since
    FROM lane_days
    WHERE lane = $lane AND segment_day < list_min($window_starts::TIMESTAMP[])::DATE
) AS days
ORDER BY number
