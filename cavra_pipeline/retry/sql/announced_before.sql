-- First deliveries that a command may only be repeating, oldest first: their outcome is not known, or this run has just
-- made them, or it was not shown to whoever asked lately, or it came after the command was given.
SELECT
    intent_id, purpose, lane, subject, provider, answers, message::VARCHAR AS message, context::VARCHAR AS context,
    state, run_id, claim_count, outcome::VARCHAR AS outcome
FROM send_intents
WHERE
    purpose = $purpose AND lane = $lane AND list_contains($providers::VARCHAR[], provider)
    AND (
        state IN ('pending', 'claimed')
        OR run_id = $run_id
        OR (list_contains($killed_runs::VARCHAR[], run_id) AND created_at >= $killed_since::TIMESTAMP)
        OR completed_at >= $requested_at::TIMESTAMP
    )
ORDER BY created_at, intent_id
