-- Outcomes of a lane's watched deliveries up to an instant, each at the subject that was tried first (contract section 4a).
-- The retries of one run may share a new subject: what a delivery retries is said by its own execution alone. Subjects
-- settled by `settled_by` are left out, which of old evidence are most. The table `watched` holds the watched records.
CREATE OR REPLACE MACRO attributed_outcomes(
    lane_name, until, settled_by := TIMESTAMP '-infinity', watched := 'watched_records'
) AS TABLE
SELECT sent.* EXCLUDE (subject), coalesce(retries.subject, sent.subject) AS subject
FROM (
    SELECT
        subject, created_at, session_id, executive_report_id, audit_id,
        outcome.provider AS provider, outcome.is_failed AS is_failed, outcome.status_code AS status_code
    FROM (
        SELECT subject, created_at, session_id, executive_report_id, audit_id, unnest(outcomes) AS outcome
        FROM query_table(watched)
        WHERE lane = lane_name AND record_type = 'delivery' AND created_at <= until
            AND (settled_at IS NULL OR settled_at > settled_by)
    )
) AS sent
LEFT JOIN (
    SELECT links.retried_as, links.provider, coalesce(roots.root, links.subject) AS subject
    FROM retry_links AS links
    LEFT JOIN subject_roots(lane_name, until) AS roots
        ON roots.child = links.subject AND roots.provider = links.provider
    WHERE has_new_subjects(lane_name) AND links.lane = lane_name AND links.linked_at <= until
) AS retries ON retries.retried_as = sent.session_id AND retries.provider = sent.provider
WHERE coalesce(retries.subject, sent.subject) IS NOT NULL
