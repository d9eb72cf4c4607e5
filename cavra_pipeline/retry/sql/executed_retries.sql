-- Which retries the evidence says were made; a warehouse that was rebuilt has no intents.
SELECT DISTINCT execution_id
FROM executions
WHERE
    lane = $lane AND execution_status <> 'skipped' AND list_contains($execution_ids::VARCHAR[], execution_id)
ORDER BY execution_id
