-- The providers at which deliveries of a lane are failing at each instant, with the newest answer of each.
SELECT
    asked.number,
    failing.provider,
    count(*) AS failing_count,
    min(failing.failing_since) AS failing_since,
    max(failing.retry_count) AS most_failures,
    last(failing.latest_status_code ORDER BY failing.latest_at, failing.latest_delivery_id) AS status_code,
    max(failing.latest_at) AS latest_at
FROM failing_states($lane, $instants::TIMESTAMP[]) AS failing
INNER JOIN asked($instants::TIMESTAMP[]) AS asked
    ON asked.number >= failing.first_seen AND asked.number <= failing.last_seen
GROUP BY asked.number, failing.provider
ORDER BY asked.number, failing.provider
