SELECT min(next_attempt_at) AS next_attempt_at
FROM alert_outbox
WHERE state = 'pending' AND list_contains($providers::VARCHAR[], provider)
