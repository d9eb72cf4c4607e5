-- Derived from watched_records: what each delivery that is a retry retries, as its execution says (contract section 4a).
-- Where several executions name one delivery the earliest counts. The delivery's own subject and instant are null until it
-- is there.
CREATE TABLE retry_links (
    lane VARCHAR NOT NULL,
    retried_as VARCHAR NOT NULL,
    subject VARCHAR NOT NULL,
    provider VARCHAR,
    linked_at TIMESTAMP NOT NULL,
    session_id VARCHAR NOT NULL,
    retry_subject VARCHAR,
    sent_at TIMESTAMP
)
