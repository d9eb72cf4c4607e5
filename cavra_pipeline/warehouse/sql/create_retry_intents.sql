-- What live workers mean to send and what became of it: written before the send, settled after it.
CREATE TABLE retry_intents (
    lane VARCHAR NOT NULL,
    subject VARCHAR NOT NULL,
    provider VARCHAR NOT NULL,
    latest_delivery_id VARCHAR NOT NULL,
    idempotency_id VARCHAR NOT NULL,
    execution_id VARCHAR NOT NULL,
    retry_plan_id VARCHAR NOT NULL,
    worker_run_id VARCHAR NOT NULL,
    state VARCHAR NOT NULL,
    claim_count BIGINT NOT NULL,
    claimed_at TIMESTAMP NOT NULL,
    reason VARCHAR,
    retry_not_before TIMESTAMP,
    completed_at TIMESTAMP
)
