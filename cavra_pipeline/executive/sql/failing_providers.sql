-- The providers at which deliveries of a lane are failing, with the newest answer of each.
SELECT
    provider,
    count(*) AS failing_count,
    min(failing_since) AS failing_since,
    max(retry_count) AS most_failures,
    last(latest_status_code ORDER BY latest_at, latest_delivery_id) AS status_code,
    max(latest_at) AS latest_at
FROM failing_pairs($lane, $as_of::TIMESTAMP)
GROUP BY provider
ORDER BY provider
