CREATE OR REPLACE VIEW evidence AS
SELECT * EXCLUDE (is_current, session_key, subject_key), status_of_execution(record_type, execution_status, delivery_success) AS status
FROM evidence_records
WHERE is_current
