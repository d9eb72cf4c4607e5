SELECT
    drop_day, count(*) AS leak_count, min(found_at) AS found_at, max(leak_number) AS newest_leak
FROM leaks
WHERE handled_at IS NULL
GROUP BY drop_day
ORDER BY drop_day
