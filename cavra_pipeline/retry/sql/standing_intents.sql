-- What earlier sends left for the subjects, oldest first: retries, and the first delivery that they repeat. The delivery
-- that a retry makes is named for it; a first delivery is its own.
SELECT
    subject, provider, answers, idempotency_id, intent_id, state, run_id, due_at, completed_at,
    CASE purpose WHEN 'retry' THEN 'delivery-' || intent_id ELSE intent_id END AS delivery_id
FROM send_intents
WHERE lane = $lane AND list_contains($subjects::VARCHAR[], subject) AND purpose IN ('retry', 'first_delivery')
ORDER BY created_at, intent_id
