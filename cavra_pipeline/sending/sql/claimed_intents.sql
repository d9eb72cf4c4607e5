-- What is claimed and not settled.
SELECT
    intent_id, purpose, lane, subject, provider, answers, message::VARCHAR AS message, context::VARCHAR AS context,
    state, run_id, claim_count, outcome::VARCHAR AS outcome
FROM send_intents
WHERE state = 'claimed' AND purpose = $purpose AND message IS NOT NULL
ORDER BY claimed_at, intent_id
