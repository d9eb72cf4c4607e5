-- Escalation plans that reports still need: those with evidence after the horizon, and those that name a recovery
-- which reports after it name.
CREATE OR REPLACE TEMP TABLE needed_plans AS
WITH planned AS (
    SELECT DISTINCT coalesce(nullif(plan_id, ''), session_id) AS subject
    FROM escalation_plans
),

later AS (
    SELECT subject FROM evidence WHERE lane = $lane AND created_at >= $horizon
    UNION
    SELECT coalesce(nullif(plan_id, ''), session_id) FROM escalation_plans WHERE created_at >= $horizon
    UNION
    SELECT plan_id FROM escalation_routes SEMI JOIN open_recoveries USING (playbook_id, provider)
)

SELECT subject FROM planned SEMI JOIN later USING (subject)
