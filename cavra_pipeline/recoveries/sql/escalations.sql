-- The escalation plans up to an instant that name a recovery.
SELECT playbook_id, provider, plan_id, min(created_at) AS escalated_at
FROM escalation_routes
WHERE playbook_id <> '' AND created_at <= $until
GROUP BY playbook_id, provider, plan_id
ORDER BY escalated_at, plan_id, playbook_id, provider
