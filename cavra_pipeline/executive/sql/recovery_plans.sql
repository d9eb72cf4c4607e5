-- What the newest plan of each of these recoveries says.
SELECT
    coalesce(nullif(plan_id, ''), session_id) AS subject,
    min(created_at) AS first_opened_at,
    last(recovery_report_id ORDER BY created_at, session_id) AS recovery_report_id,
    last(alert_level ORDER BY created_at, session_id) AS alert_level
FROM escalation_plans
WHERE
    created_at <= $as_of
    AND escalation_count IS DISTINCT FROM 0
    AND list_contains($subjects::VARCHAR[], coalesce(nullif(plan_id, ''), session_id))
GROUP BY ALL
ORDER BY subject
