CREATE OR REPLACE VIEW executions AS
SELECT
    session_id, created_at, lane, subject, provider_name(provider) AS provider,
    status AS execution_status,
    execution_id, execution_hash, delivery_success, run_id, worker_run_id, retry_plan_id,
    executive_report_id, signer, drop_day
FROM evidence
WHERE record_type = 'execution'
