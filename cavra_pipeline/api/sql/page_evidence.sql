-- Current evidence, newest first, from a place on. The records of a subject include those of its retries, whose own
-- subject may be another (contract section 4a).
SELECT {{columns}}, lane, record_type, subject, drop_day, status
FROM evidence
WHERE
    ($lane::VARCHAR IS NULL OR lane = $lane)
    AND ($record_type::VARCHAR IS NULL OR record_type = $record_type)
    AND ($session_id::VARCHAR IS NULL OR session_id = $session_id)
    AND (
        $subjects::VARCHAR[] IS NULL
        OR list_contains($subjects::VARCHAR[], subject)
        -- A delivery is a retry only where an execution says so.
        OR record_type <> 'delivery' AND (lane, subject) IN (
            SELECT (retried_subjects.lane, retried_subjects.subject)
            FROM retried_subjects
            WHERE
                list_contains($subjects::VARCHAR[], retried_subjects.first_subject)
                AND ($provider::VARCHAR IS NULL OR retried_subjects.provider = $provider)
        )
        OR (lane, session_id) IN (
            SELECT (retry_links.lane, retry_links.retried_as)
            FROM retry_links
            LEFT JOIN retried_subjects
                ON
                    retried_subjects.lane = retry_links.lane AND retried_subjects.subject = retry_links.subject
                    AND retried_subjects.provider = retry_links.provider
            WHERE
                list_has_any(
                    $subjects::VARCHAR[], [retry_links.subject, coalesce(retried_subjects.first_subject, retry_links.subject)]
                )
                AND ($provider::VARCHAR IS NULL OR retry_links.provider = $provider)
        )
    )
    AND ($provider::VARCHAR IS NULL OR provider = $provider OR list_contains(list_transform(outcomes, lambda o: o.provider), $provider))
    AND ($state::VARCHAR IS NULL OR acknowledgement_state = $state)
    AND ($since::TIMESTAMP IS NULL OR created_at >= $since)
    AND ($until::TIMESTAMP IS NULL OR created_at <= $until)
    AND ($after_at::TIMESTAMP IS NULL OR (created_at, session_id) < ($after_at::TIMESTAMP, $after_id))
ORDER BY created_at DESC, session_id DESC
LIMIT $most
