-- Notices whose plan is not evidence yet, in the order of their writing.
SELECT plan_id, provider, alert_level, lane, suppressed_providers, document::VARCHAR AS document, created_at
FROM alert_outbox
WHERE NOT is_recorded
ORDER BY created_at, plan_id, provider
