SELECT created_at
FROM worker_runs
WHERE lane = $lane AND created_at > $after AND created_at <= $until
ORDER BY created_at
