-- The outcome of a claim, once, while the run that made the attempt still holds it.
UPDATE send_intents
SET
    state = $state, due_at = $due_at::TIMESTAMP, completed_at = $completed_at, reason = $reason,
    status_code = $status_code, outcome = coalesce($outcome::JSON, outcome)
WHERE intent_id = $intent_id AND run_id = $run_id AND state = 'claimed'
RETURNING intent_id
