-- Pairs of the lane that are failing at each instant although no escalation plan up to it names their subject.
WITH planned AS (
    SELECT coalesce(nullif(plan_id, ''), session_id) AS subject, min(created_at) AS planned_at
    FROM escalation_plans
    GROUP BY ALL
),

failing AS (
    SELECT states.first_seen, states.last_seen, coalesce(planned.planned_at, TIMESTAMP 'infinity') AS planned_at
    FROM failing_states($lane, $instants::TIMESTAMP[]) AS states
    LEFT JOIN planned USING (subject)
)

SELECT instants.number, count(failing.first_seen) AS unplanned_failure_count
FROM numbered($instants::TIMESTAMP[]) AS instants
LEFT JOIN failing
    ON instants.number >= failing.first_seen AND instants.number <= failing.last_seen AND failing.planned_at > instants.as_of
GROUP BY instants.number
ORDER BY instants.number
