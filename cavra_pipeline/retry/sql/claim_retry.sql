-- The claim is conditional: nobody holds this retry, and nobody has made it.
INSERT INTO retry_intents
SELECT
    $lane, $subject, $provider, $latest_delivery_id, $idempotency_id, $execution_id, $retry_plan_id, $worker_run_id,
    'claimed', 1, $now, NULL, NULL, NULL
WHERE NOT EXISTS (
    SELECT 1
    FROM retry_intents
    WHERE
        lane = $lane AND subject = $subject AND provider = $provider AND latest_delivery_id = $latest_delivery_id
)
RETURNING execution_id
