-- How the executions of a lane ended up to an instant, by provider, as CAVRA counts them: each for ever.
SELECT
    coalesce(nullif(provider, ''), 'unknown') AS provider,
    execution_status,
    count(*) AS execution_count,
    max(created_at) AS latest_execution_at
FROM executions
WHERE lane = $lane AND created_at <= $as_of::TIMESTAMP
GROUP BY ALL
ORDER BY provider, execution_status
