SELECT verdict, cause, done_at, run_id
FROM schedule_slots
WHERE schedule = $schedule AND expected_at = $expected_at
