-- Claims the intent that has been due longest: one that waits, or one whose run ended before its outcome was known.
UPDATE send_intents
SET state = 'claimed', run_id = $run_id, claim_count = claim_count + 1, claimed_at = $now
WHERE
    intent_id = (
        SELECT intent_id
        FROM send_intents
        WHERE
            purpose = $purpose AND list_contains($providers::VARCHAR[], provider)
            AND (
                (state = 'pending' AND coalesce(due_at, created_at) <= $now)
                OR (state = 'claimed' AND list_contains($ended_runs::VARCHAR[], run_id))
            )
        ORDER BY coalesce(due_at, created_at), created_at, intent_id
        LIMIT 1
    )
RETURNING
    intent_id, purpose, lane, subject, provider, answers, message::VARCHAR AS message, context::VARCHAR AS context,
    state, run_id, claim_count, outcome::VARCHAR AS outcome
