-- What earlier live runs left for the subjects, oldest first.
SELECT
    subject, provider, latest_delivery_id, idempotency_id, execution_id, state, worker_run_id, claimed_at,
    retry_not_before, completed_at
FROM retry_intents
WHERE lane = $lane AND list_contains($subjects::VARCHAR[], subject)
ORDER BY claimed_at, execution_id
