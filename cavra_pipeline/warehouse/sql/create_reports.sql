-- Reports that were materialised: the newest for each kind, lane and day.
CREATE TABLE reports (
    report VARCHAR NOT NULL,
    lane VARCHAR,
    report_day DATE NOT NULL,
    as_of TIMESTAMP NOT NULL,
    report_id VARCHAR NOT NULL,
    alert_level VARCHAR,
    evidence_record_count BIGINT NOT NULL,
    generated_at TIMESTAMP NOT NULL,
    document JSON NOT NULL
)
