CREATE OR REPLACE VIEW escalation_routes AS
SELECT
    session_id, created_at, coalesce(nullif(plan_id, ''), session_id) AS plan_id,
    coalesce(route.playbook_id, '') AS playbook_id, coalesce(provider_name(route.provider), '') AS provider,
    route.category AS category, route.severity AS severity, route.slo_status AS slo_status,
    route.age_minutes AS age_minutes, route.failure_count AS failure_count, drop_day
FROM (
    SELECT session_id, created_at, plan_id, drop_day, unnest(escalation_routes) AS route
    FROM evidence
    WHERE record_type = 'escalation_plan'
)
