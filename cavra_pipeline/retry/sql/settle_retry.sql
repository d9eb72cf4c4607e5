-- The outcome of a claim, by the run that holds it.
UPDATE retry_intents
SET state = $state, reason = $reason, retry_not_before = $retry_not_before::TIMESTAMP, completed_at = $completed_at
WHERE execution_id = $execution_id AND worker_run_id = $worker_run_id AND state = 'claimed'
