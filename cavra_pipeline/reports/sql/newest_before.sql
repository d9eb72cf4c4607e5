-- The newest worker run and retry plan before the earliest window: from there on a history tells all that the instants ask.
SELECT
    max(created_at) FILTER (record_type = 'worker_run') AS runs_since,
    max(created_at) FILTER (record_type = 'retry_plan') AS plans_since
FROM evidence
WHERE
    lane = $lane AND record_type IN ('worker_run', 'retry_plan')
    AND created_at <= list_min($window_starts::TIMESTAMP[])
