-- is_failed: no outcome of another delivery failed; these two columns are cheaper to read than the outcomes.
CREATE OR REPLACE VIEW watchable_records AS
SELECT
    rowid AS row_id,
    record_type,
    lane,
    subject,
    provider_name(provider) AS provider,
    created_at,
    session_id,
    executive_report_id,
    outcomes,
    acknowledgement_state,
    status_of_execution(record_type, execution_status, delivery_success) AS execution_status,
    CASE record_type
        WHEN 'delivery' THEN delivery_success IS DISTINCT FROM true OR coalesce(len(failed_providers), 0) > 0
        WHEN 'execution' THEN status_of_execution(record_type, execution_status, delivery_success) <> 'delivered'
        ELSE false
    END AS is_failed,
    drop_day,
    file_name
FROM evidence_records
WHERE is_current AND record_type IN ('delivery', 'execution', 'acknowledgement') AND lane IS NOT NULL
