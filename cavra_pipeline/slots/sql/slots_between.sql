SELECT
    schedule, expected_at, verdict, cause, done_at, run_id, closes_at, judged_at, revised_at, cron, time_zone,
    is_declared_on, grace_minutes, grace_percent, early_percent, configuration_from
FROM schedule_slots
INNER JOIN schedule_configurations USING (schedule)
WHERE
    configuration_from = valid_from
    AND ($schedule IS NULL OR schedule = $schedule)
    AND expected_at > $after
    AND expected_at <= $until
ORDER BY schedule, expected_at
