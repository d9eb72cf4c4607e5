-- Approval decisions on some subjects of a lane, and the executions that delivered: these have no approval state.
SELECT
    subject,
    provider,
    created_at,
    CASE WHEN record_type = 'approval' THEN coalesce(approval_state, '') END AS approval_state
FROM attributed_records($lane, $until::TIMESTAMP)
SEMI JOIN (SELECT unnest($subjects::VARCHAR[]) AS subject) AS wanted USING (subject)
WHERE record_type = 'approval' OR record_type = 'execution' AND execution_status = 'delivered'
ORDER BY subject, provider, created_at, session_id
