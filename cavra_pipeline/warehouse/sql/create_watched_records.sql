-- Derived from evidence_records, kept by every ingest: the reports ask it what has failed, and what came of it.
CREATE TABLE watched_records (
    record_type VARCHAR NOT NULL,
    lane VARCHAR NOT NULL,
    subject VARCHAR,
    provider VARCHAR,
    created_at TIMESTAMP NOT NULL,
    session_id VARCHAR NOT NULL,
    executive_report_id VARCHAR,
    audit_id VARCHAR,
    outcomes STRUCT(provider VARCHAR, is_failed BOOLEAN, status_code BIGINT)[],
    acknowledgement_state VARCHAR,
    approval_state VARCHAR,
    execution_status VARCHAR,
    is_failed BOOLEAN NOT NULL,
    skip_reason VARCHAR,
    retried_as VARCHAR,
    settled_at TIMESTAMP
)
