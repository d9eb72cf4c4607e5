SELECT
    lane,
    provider,
    count(*) FILTER (is_failed) AS failed_delivery_count,
    count(*) FILTER (NOT is_failed) AS delivered_delivery_count
FROM delivery_outcomes
WHERE created_at <= $as_of AND lane IS NOT NULL
GROUP BY lane, provider
ORDER BY lane, provider
