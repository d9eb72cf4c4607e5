-- What is to be sent and what became of it: written before the send, settled after it.
CREATE TABLE send_intents (
    intent_id VARCHAR NOT NULL,
    purpose VARCHAR NOT NULL,
    lane VARCHAR NOT NULL,
    subject VARCHAR NOT NULL,
    provider VARCHAR NOT NULL,
    answers VARCHAR,
    idempotency_id VARCHAR NOT NULL,
    message JSON,
    context JSON NOT NULL,
    state VARCHAR NOT NULL,
    run_id VARCHAR,
    claim_count BIGINT NOT NULL,
    created_at TIMESTAMP NOT NULL,
    claimed_at TIMESTAMP,
    due_at TIMESTAMP,
    completed_at TIMESTAMP,
    reason VARCHAR,
    status_code BIGINT,
    outcome JSON
)
