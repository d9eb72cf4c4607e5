SELECT expected_at, verdict, cause
FROM schedule_slots
WHERE schedule = $schedule AND expected_at > $after AND expected_at <= $until
ORDER BY expected_at
