-- The claim is conditional: nobody else has just taken it up. It ends by itself at the next attempt's instant.
UPDATE alert_outbox
SET attempt_count = attempt_count + 1, next_attempt_at = $again_at
WHERE notice_id = $notice_id AND state = 'pending' AND next_attempt_at <= $now
RETURNING attempt_count
