-- Deliveries by provider over all lanes, in the window.
SELECT
    provider,
    count(*) FILTER (NOT is_failed) AS delivered_count,
    count(*) FILTER (is_failed) AS failed_count
FROM delivery_outcomes
WHERE created_at <= $as_of AND created_at >= $window_start AND lane IS NOT NULL
GROUP BY provider
ORDER BY provider
