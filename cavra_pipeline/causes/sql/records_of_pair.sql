-- Every record of a pair up to an instant, retries at the subject that was tried first (contract section 4a). Subjects
-- that never failed are not watched; their records are read from the evidence.
WITH first AS (
    SELECT coalesce(max(root), $subject) AS subject
    FROM subject_roots($lane, $as_of::TIMESTAMP)
    WHERE child = $subject AND provider = $provider
),

is_watched AS (
    SELECT count(*) > 0 AS yes FROM watched_records WHERE lane = $lane AND subject = (SELECT subject FROM first)
),

outcomes AS (
    SELECT session_id, is_failed, status_code
    FROM attributed_outcomes($lane, $as_of::TIMESTAMP)
    WHERE provider = $provider AND subject = (SELECT subject FROM first)
    UNION ALL
    SELECT session_id, is_failed, status_code
    FROM delivery_outcomes
    WHERE
        lane = $lane AND provider = $provider AND subject = $subject AND created_at <= $as_of::TIMESTAMP
        AND NOT (SELECT yes FROM is_watched)
),

said AS (
    SELECT session_id
    FROM attributed_records($lane, $as_of::TIMESTAMP)
    WHERE provider = $provider AND subject = (SELECT subject FROM first)
    UNION ALL
    SELECT session_id
    FROM evidence
    WHERE
        lane = $lane AND provider_name(provider) = $provider AND subject = $subject
        AND created_at <= $as_of::TIMESTAMP
        AND record_type IN ('execution', 'acknowledgement', 'approval') AND NOT (SELECT yes FROM is_watched)
)

SELECT
    evidence.record_type,
    evidence.session_id,
    evidence.created_at,
    (SELECT subject FROM first) AS subject,
    outcomes.is_failed,
    outcomes.status_code,
    evidence.status AS execution_status,
    CASE WHEN evidence.status = 'skipped' THEN coalesce(nullif(evidence.skip_reason, ''), 'other') END AS skip_reason,
    evidence.acknowledgement_state,
    evidence.approval_state,
    evidence.signer,
    evidence.external_ref,
    evidence.retry_plan_id,
    evidence.run_id,
    evidence.worker_run_id,
    coalesce(nullif(evidence.delivery_metadata_id, ''), nullif(evidence.new_delivery_id, '')) AS retried_as
FROM evidence
LEFT JOIN outcomes USING (session_id)
WHERE outcomes.session_id IS NOT NULL OR evidence.session_id IN (SELECT session_id FROM said)
ORDER BY evidence.created_at, evidence.session_id
