INSERT INTO schedule_configurations
VALUES (
    $schedule, $valid_from, $cron, $time_zone, $is_declared_on, $grace_minutes, $grace_percent, $early_percent
)
ON CONFLICT DO NOTHING
