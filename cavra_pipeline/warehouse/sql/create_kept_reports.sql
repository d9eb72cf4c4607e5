-- Reports that were made and kept: the newest for each kind, lane and day. A document is the text around its entries,
-- and the numbers of these in report_entries.
CREATE TABLE kept_reports (
    report VARCHAR NOT NULL,
    lane VARCHAR,
    report_day DATE NOT NULL,
    as_of TIMESTAMP NOT NULL,
    report_id VARCHAR NOT NULL,
    alert_level VARCHAR,
    evidence_record_count BIGINT NOT NULL,
    future_record_count BIGINT,
    generated_at TIMESTAMP NOT NULL,
    opening VARCHAR NOT NULL,
    entries BIGINT[],
    closing VARCHAR NOT NULL
)
