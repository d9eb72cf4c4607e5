-- One row for each episode of an alert: the same thing wrong again is a new episode.
CREATE TABLE alerts (
    alert_id VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    subject VARCHAR NOT NULL,
    episode BIGINT NOT NULL,
    group_name VARCHAR NOT NULL,
    severity VARCHAR NOT NULL,
    state VARCHAR NOT NULL,
    since TIMESTAMP NOT NULL,
    opened_at TIMESTAMP NOT NULL,
    acknowledged_at TIMESTAMP,
    acknowledged_by VARCHAR,
    resolved_at TIMESTAMP,
    cause VARCHAR,
    causes JSON NOT NULL,
    occurrence_count BIGINT NOT NULL,
    swallowed_count BIGINT NOT NULL,
    evidence JSON NOT NULL,
    last_notified_at TIMESTAMP,
    muted_by VARCHAR
)
