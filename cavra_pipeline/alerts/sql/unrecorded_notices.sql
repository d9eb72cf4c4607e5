-- Notices whose plan is not evidence yet, in the order of their writing.
SELECT plan_id, provider, notice_id, alert_level, lane, suppressed_providers, created_at
FROM alert_outbox
WHERE NOT is_recorded
ORDER BY created_at, plan_id, provider
