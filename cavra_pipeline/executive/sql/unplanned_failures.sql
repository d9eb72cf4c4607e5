-- Pairs of the lane that are failing although no escalation plan names their subject.
SELECT count(*) AS unplanned_failure_count
FROM failing_pairs($lane, $as_of::TIMESTAMP) AS failing
ANTI JOIN (
    SELECT coalesce(nullif(plan_id, ''), session_id) AS subject
    FROM escalation_plans
    WHERE created_at <= $as_of
) AS plans USING (subject)
