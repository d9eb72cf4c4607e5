-- An intent whose execution stands in the evidence has its outcome, also when its run died before saying so.
UPDATE retry_intents
SET
    state = coalesce(noted.state, 'done'), completed_at = known.created_at, reason = noted.reason,
    retry_not_before = noted.retry_not_before::TIMESTAMP
FROM (
    SELECT execution_id, max(created_at) AS created_at
    FROM executions
    WHERE lane = $lane AND execution_status <> 'skipped'
    GROUP BY execution_id
) AS known
LEFT JOIN given_notes AS noted USING (execution_id)
WHERE
    retry_intents.state = 'claimed' AND retry_intents.execution_id = known.execution_id
    AND list_contains($ended_runs::VARCHAR[], retry_intents.worker_run_id)
