SELECT schedule, max(expected_at) AS expected_at
FROM schedule_slots
GROUP BY schedule
ORDER BY schedule
