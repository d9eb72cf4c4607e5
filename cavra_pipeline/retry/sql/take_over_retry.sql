-- A claim whose run is over goes on under the same ids; so does a retry that was only skipped.
UPDATE retry_intents
SET
    state = 'claimed', claim_count = claim_count + 1, claimed_at = $now, worker_run_id = $worker_run_id,
    retry_plan_id = $retry_plan_id
WHERE
    lane = $lane AND subject = $subject AND provider = $provider AND latest_delivery_id = $latest_delivery_id
    AND (state = 'skipped' OR (state = 'claimed' AND list_contains($ended_runs::VARCHAR[], worker_run_id)))
RETURNING execution_id
