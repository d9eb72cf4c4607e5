-- What the newest plan of each recovery says at each instant at which it is open.
SELECT
    open_recoveries.number,
    open_recoveries.subject,
    min(plans.created_at) AS first_opened_at,
    last(plans.recovery_report_id ORDER BY plans.created_at, plans.session_id) AS recovery_report_id,
    last(plans.alert_level ORDER BY plans.created_at, plans.session_id) AS alert_level
FROM escalation_plans AS plans
INNER JOIN open_recoveries ON open_recoveries.subject = coalesce(nullif(plans.plan_id, ''), plans.session_id)
WHERE plans.created_at <= open_recoveries.as_of AND plans.escalation_count IS DISTINCT FROM 0
GROUP BY open_recoveries.number, open_recoveries.subject
ORDER BY open_recoveries.number, open_recoveries.subject
