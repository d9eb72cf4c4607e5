-- Notices that no connector has taken: the newest of each group and connector, if it is not sent.
SELECT provider, group_name, notice, state, attempt_count, reason, status_code, created_at, next_attempt_at, notice_id
FROM alert_notices
WHERE list_contains($providers::VARCHAR[], provider)
QUALIFY row_number() OVER (PARTITION BY group_name, provider ORDER BY notice_number DESC) = 1 AND state <> 'sent'
ORDER BY created_at, provider, group_name
