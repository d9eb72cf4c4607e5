CREATE OR REPLACE VIEW deliveries AS
SELECT
    session_id, created_at, lane, subject, connector_delivery_source, event_id, event_type, plan_id, run_id, health_id,
    executive_report_id, retry_plan_id, worker_run_id, delivery_success, providers, failed_providers, attempt_count,
    max_attempt_count, status_codes, provider_deliveries, outcomes, signer, drop_day
FROM evidence
WHERE record_type = 'delivery'
