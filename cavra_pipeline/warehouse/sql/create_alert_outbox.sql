-- Notices, one row for each connector: written in the transaction that changes the alerts, sent afterwards.
CREATE TABLE alert_outbox (
    notice_id VARCHAR NOT NULL,
    plan_id VARCHAR NOT NULL,
    provider VARCHAR NOT NULL,
    group_name VARCHAR NOT NULL,
    notice_number BIGINT NOT NULL,
    notice VARCHAR NOT NULL,
    alert_level VARCHAR NOT NULL,
    lane VARCHAR NOT NULL,
    suppressed_providers VARCHAR[] NOT NULL,
    told JSON NOT NULL,
    document JSON NOT NULL,
    is_recorded BOOLEAN NOT NULL,
    state VARCHAR NOT NULL,
    attempt_count BIGINT NOT NULL,
    created_at TIMESTAMP NOT NULL,
    next_attempt_at TIMESTAMP,
    settled_at TIMESTAMP,
    status_code BIGINT,
    reason VARCHAR
)
