CREATE OR REPLACE VIEW delivery_outcomes AS
SELECT
    session_id, created_at, lane, subject, outcome.provider AS provider, outcome.is_failed AS is_failed,
    outcome.status_code AS status_code, executive_report_id, drop_day
FROM (
    SELECT session_id, created_at, lane, subject, executive_report_id, drop_day, unnest(outcomes) AS outcome
    FROM evidence
    WHERE record_type = 'delivery'
)
