-- First deliveries whose outcome is not known, oldest first.
SELECT
    intent_id, purpose, lane, subject, provider, answers, message::VARCHAR AS message, context::VARCHAR AS context,
    state, run_id, claim_count, outcome::VARCHAR AS outcome
FROM send_intents
WHERE purpose = $purpose AND lane = $lane AND state IN ('pending', 'claimed')
ORDER BY created_at, intent_id
