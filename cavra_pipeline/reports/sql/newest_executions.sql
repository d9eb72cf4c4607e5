-- The newest executions of a lane up to an instant.
SELECT
    execution_id, coalesce(nullif(provider_name(provider), ''), 'unknown') AS provider, status AS execution_status,
    created_at AS executed_at, coalesce(delivery_success, false) AS delivery_success, approval_decision_id, run_id
FROM evidence
WHERE lane = $lane AND record_type = 'execution' AND created_at <= $as_of::TIMESTAMP
ORDER BY created_at DESC, session_id DESC
LIMIT $most
