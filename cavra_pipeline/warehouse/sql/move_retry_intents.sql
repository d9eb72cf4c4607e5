INSERT INTO send_intents BY NAME
SELECT
    execution_id AS intent_id, 'retry' AS purpose, lane, subject, provider, latest_delivery_id AS answers,
    idempotency_id, '{}' AS context, state, worker_run_id AS run_id, claim_count, claimed_at AS created_at, claimed_at,
    retry_not_before AS due_at, completed_at, reason
FROM retry_intents
