SELECT
    intent_id, purpose, lane, subject, provider, answers, message::VARCHAR AS message, context::VARCHAR AS context,
    state, run_id, claim_count, outcome::VARCHAR AS outcome
FROM send_intents
WHERE list_contains($intent_ids::VARCHAR[], intent_id)
ORDER BY intent_id
