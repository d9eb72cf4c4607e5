SELECT verdict, cause, count(*) AS slot_count
FROM schedule_slots
WHERE schedule = $schedule AND expected_at > $after AND expected_at <= $until
GROUP BY verdict, cause
ORDER BY verdict, cause
