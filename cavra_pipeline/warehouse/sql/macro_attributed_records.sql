-- What a lane's executions, acknowledgements and approvals up to an instant say, each at the subject that was tried first;
-- subjects settled by `settled_by` are left out. The table `watched` holds the watched records.
CREATE OR REPLACE MACRO attributed_records(
    lane_name, until, settled_by := TIMESTAMP '-infinity', watched := 'watched_records'
) AS TABLE
SELECT said.* EXCLUDE (subject), coalesce(roots.root, said.subject) AS subject
FROM (
    SELECT
        record_type, coalesce(subject, '') AS subject, coalesce(provider, '') AS provider, created_at, session_id,
        acknowledgement_state, approval_state, execution_status, skip_reason
    FROM query_table(watched)
    WHERE lane = lane_name AND record_type <> 'delivery' AND created_at <= until
        AND (settled_at IS NULL OR settled_at > settled_by)
) AS said
LEFT JOIN subject_roots(lane_name, until) AS roots ON roots.child = said.subject AND roots.provider = said.provider
