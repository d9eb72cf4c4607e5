-- Current evidence, newest first, from a place on.
SELECT {{columns}}, lane, record_type, subject, drop_day, status
FROM evidence
WHERE
    ($lane::VARCHAR IS NULL OR lane = $lane)
    AND ($record_type::VARCHAR IS NULL OR record_type = $record_type)
    AND ($session_id::VARCHAR IS NULL OR session_id = $session_id)
    AND ($subjects::VARCHAR[] IS NULL OR list_contains($subjects::VARCHAR[], subject))
    AND ($provider::VARCHAR IS NULL OR provider = $provider OR list_contains(list_transform(outcomes, lambda o: o.provider), $provider))
    AND ($state::VARCHAR IS NULL OR acknowledgement_state = $state)
    AND ($since::TIMESTAMP IS NULL OR created_at >= $since)
    AND ($until::TIMESTAMP IS NULL OR created_at <= $until)
    AND ($after_at::TIMESTAMP IS NULL OR (created_at, session_id) < ($after_at::TIMESTAMP, $after_id))
ORDER BY created_at DESC, session_id DESC
LIMIT $most
