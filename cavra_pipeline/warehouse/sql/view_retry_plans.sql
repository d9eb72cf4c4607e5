CREATE OR REPLACE VIEW retry_plans AS
SELECT
    session_id, created_at, lane, retry_plan_id, alert_level, retryable_count, waiting_count, suppressed_count, signer,
    drop_day
FROM evidence
WHERE record_type = 'retry_plan'
