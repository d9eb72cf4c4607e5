-- Recoveries that are open at the horizon, or of which there is evidence after it: the executive report and the
-- escalation plan tell their story from its beginning, which may lie before their first plan.
CREATE OR REPLACE TEMP TABLE told_subjects AS
WITH planned AS (
    SELECT DISTINCT coalesce(nullif(plan_id, ''), session_id) AS subject
    FROM escalation_plans
),

later AS (
    SELECT subject FROM evidence WHERE lane = $lane AND created_at >= $horizon
    UNION
    SELECT coalesce(nullif(plan_id, ''), session_id) FROM escalation_plans WHERE created_at >= $horizon
)

SELECT subject
FROM planned
WHERE subject IN (SELECT subject FROM later) OR list_contains($open_recoveries::VARCHAR[], subject)
