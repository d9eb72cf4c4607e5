SELECT lane, created_at
FROM worker_runs
WHERE created_at > $after AND created_at <= $until
ORDER BY lane, created_at
