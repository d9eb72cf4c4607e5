-- Outcomes of a lane's watched deliveries up to an instant, each at the subject that was tried first (contract section 4a).
-- The retries of one run may share a new subject: what a delivery retries is said by its own execution alone.
CREATE OR REPLACE MACRO attributed_outcomes(lane_name, until) AS TABLE
SELECT sent.* EXCLUDE (subject), coalesce(roots.root, links.subject, sent.subject) AS subject
FROM (
    SELECT
        subject, created_at, session_id, executive_report_id, audit_id,
        outcome.provider AS provider, outcome.is_failed AS is_failed, outcome.status_code AS status_code
    FROM (
        SELECT subject, created_at, session_id, executive_report_id, audit_id, unnest(outcomes) AS outcome
        FROM watched_records
        WHERE lane = lane_name AND record_type = 'delivery' AND created_at <= until
    )
) AS sent
LEFT JOIN retry_links(lane_name, until) AS links
    ON links.retried_as = sent.session_id AND links.provider = sent.provider
LEFT JOIN subject_roots(lane_name, until) AS roots ON roots.child = links.subject AND roots.provider = sent.provider
WHERE coalesce(links.subject, sent.subject) IS NOT NULL
