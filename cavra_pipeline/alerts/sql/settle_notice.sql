UPDATE alert_outbox
SET
    state = $state, status_code = $status_code, reason = $reason,
    next_attempt_at = coalesce($next_attempt_at::TIMESTAMP, next_attempt_at), settled_at = $settled_at::TIMESTAMP
WHERE notice_id = $notice_id AND state = 'pending'
RETURNING notice_id
