UPDATE alert_outbox
SET
    state = $state, status_code = $status_code, reason = $reason, next_attempt_at = $next_attempt_at::TIMESTAMP,
    settled_at = $settled_at::TIMESTAMP
WHERE notice_id = $notice_id AND state = 'pending'
RETURNING notice, provider, told::VARCHAR AS told, document -> 'alert_ids' AS alert_ids
