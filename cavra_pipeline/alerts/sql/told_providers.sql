-- The connectors that took a notice of the alert, each with the newest plan that chose it.
SELECT provider, arg_max(plan_id, notice_number) AS plan_id
FROM alert_notices
WHERE state = 'sent' AND list_contains(alert_ids, $alert_id)
GROUP BY provider
ORDER BY provider
