-- A notice whose run died while it sent is due at once.
SELECT min(CASE state WHEN 'pending' THEN coalesce(due_at, created_at) ELSE claimed_at END) AS next_attempt_at
FROM send_intents
WHERE purpose = $purpose AND state IN ('pending', 'claimed') AND list_contains($providers::VARCHAR[], provider)
