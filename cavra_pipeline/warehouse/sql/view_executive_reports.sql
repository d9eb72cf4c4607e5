CREATE OR REPLACE VIEW executive_reports AS
SELECT
    session_id, created_at, executive_report_id, recovery_report_id, escalation_plan_id, alert_level, escalation_count,
    signer, drop_day
FROM evidence
WHERE record_type = 'executive_report'
