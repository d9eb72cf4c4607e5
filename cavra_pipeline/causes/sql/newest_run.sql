-- The lane's newest worker run, and what it said of its schedule.
SELECT created_at, schedule_interval_minutes, schedule_enabled
FROM worker_runs
WHERE lane = $lane AND created_at <= $as_of::TIMESTAMP
ORDER BY created_at DESC, session_id DESC
LIMIT 1
