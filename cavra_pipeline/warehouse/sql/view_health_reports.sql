CREATE OR REPLACE VIEW health_reports AS
SELECT
    session_id, created_at, lane, health_id, alert_level, alert_count, failed_execution_count,
    acknowledgement_pending_count, failed_executive_report_delivery_count, signer, drop_day
FROM evidence
WHERE record_type = 'health_report'
