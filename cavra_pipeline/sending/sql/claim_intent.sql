-- The claim is conditional: nobody is sending the intent, and its outcome is not known. The message of the first claim
-- stays; only a row moved here from an older release has none.
UPDATE send_intents
SET
    state = 'claimed', run_id = $run_id, claim_count = claim_count + 1, claimed_at = $now,
    message = coalesce(message, $message::JSON), context = $context::JSON
WHERE
    intent_id = $intent_id
    AND (state IN ('pending', 'skipped') OR (state = 'claimed' AND list_contains($ended_runs::VARCHAR[], run_id)))
RETURNING
    intent_id, purpose, lane, subject, provider, answers, message::VARCHAR AS message, context::VARCHAR AS context,
    state, run_id, claim_count, outcome::VARCHAR AS outcome
