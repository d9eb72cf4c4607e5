CREATE OR REPLACE VIEW escalation_plans AS
SELECT
    session_id, created_at, plan_id, recovery_report_id, alert_level, escalation_count, slo_breached_count,
    failed_execution_count, selected_providers, signer, drop_day
FROM evidence
WHERE record_type = 'escalation_plan'
