-- The delay after each number of failures that a policy retries.
SELECT {{delay}} AS delay_microseconds
FROM (SELECT unnest(range(1, $max_attempts::BIGINT)) AS retry_count)
ORDER BY retry_count
