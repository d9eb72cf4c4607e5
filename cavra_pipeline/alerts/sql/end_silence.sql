UPDATE alert_silences
SET ends_at = $now, starts_at = least(starts_at, $now::TIMESTAMP)
WHERE silence_id = $silence_id AND ends_at > $now
RETURNING silence_id, kind, subject, author, starts_at, ends_at, comment
