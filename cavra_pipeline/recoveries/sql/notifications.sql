-- The connectors through which an escalation plan that names a recovery was first delivered, up to an instant.
SELECT subject AS plan_id, provider, min(created_at) AS delivered_at
FROM delivery_outcomes
SEMI JOIN (SELECT plan_id AS subject FROM escalation_routes WHERE playbook_id <> '') USING (subject)
WHERE lane = $lane AND NOT is_failed AND created_at <= $until
GROUP BY subject, provider
ORDER BY subject, provider
