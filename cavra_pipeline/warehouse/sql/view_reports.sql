CREATE OR REPLACE VIEW reports AS
SELECT
    report, lane, report_day, as_of, report_id, alert_level, evidence_record_count, generated_at,
    document_of(opening, entries, closing) AS document
FROM kept_reports
