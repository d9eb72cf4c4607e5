-- Recoveries that were open at the horizon, or of which something is said after it.
CREATE OR REPLACE TEMP TABLE open_recoveries AS
SELECT recoveries.playbook_id, recoveries.provider, max(recoveries.opened_at) AS opened_at
FROM recoveries
LEFT JOIN recovery_closures USING (playbook_id, provider)
GROUP BY recoveries.playbook_id, recoveries.provider
HAVING
    max(recovery_closures.created_at) >= $horizon
    OR NOT coalesce(list_contains(
        $closed_states::VARCHAR[],
        last(recovery_closures.closure_state ORDER BY recovery_closures.created_at, recovery_closures.session_id)
    ), false)
