-- Takes up the notice that is due longest. Until again_at nobody else does; then the claim has ended by itself.
UPDATE alert_outbox
SET attempt_count = attempt_count + 1, next_attempt_at = $again_at
WHERE
    notice_id = (
        SELECT notice_id
        FROM alert_outbox
        WHERE state = 'pending' AND next_attempt_at <= $now AND list_contains($providers::VARCHAR[], provider)
        ORDER BY next_attempt_at, created_at, notice_id
        LIMIT 1
    )
RETURNING notice_id, provider, notice, attempt_count, document::VARCHAR AS document
