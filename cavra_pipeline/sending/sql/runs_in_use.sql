-- Runs whose file still says something: their outcome was noted or is unknown, or their command may be repeated.
SELECT DISTINCT run_id
FROM send_intents
WHERE
    run_id IS NOT NULL
    AND (state = 'claimed' OR (purpose = 'first_delivery' AND (state = 'pending' OR created_at >= $since::TIMESTAMP)))
ORDER BY run_id
