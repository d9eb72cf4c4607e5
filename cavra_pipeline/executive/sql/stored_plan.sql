-- An escalation plan that is evidence: the one of an id, or the newest.
SELECT
    session_id, created_at, signer, coalesce(nullif(plan_id, ''), session_id) AS plan_id, recovery_report_id,
    alert_level, escalation_count, slo_breached_count, failed_execution_count, selected_providers, escalation_routes
FROM evidence
WHERE
    record_type = 'escalation_plan' AND created_at <= $as_of::TIMESTAMP
    AND ($plan_id::VARCHAR IS NULL OR coalesce(nullif(plan_id, ''), session_id) = $plan_id::VARCHAR)
ORDER BY created_at DESC, session_id DESC
LIMIT 1
