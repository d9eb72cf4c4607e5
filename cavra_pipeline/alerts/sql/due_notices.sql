SELECT notice_id, provider, notice, document::VARCHAR AS document
FROM alert_outbox
WHERE state = 'pending' AND next_attempt_at <= $now AND list_contains($providers::VARCHAR[], provider)
ORDER BY next_attempt_at, created_at, group_name, provider
LIMIT $most
