SELECT
    outcome.provider AS provider, lane, created_at, session_id, outcome.status_code AS status_code,
    CASE WHEN has_new_subjects(lane) THEN session_id ELSE coalesce(subject, '') END AS part
FROM (
    SELECT lane, subject, created_at, session_id, unnest(outcomes) AS outcome
    FROM watched_records
    WHERE
        record_type = 'delivery' AND is_failed
        AND created_at >= $since::TIMESTAMP AND created_at <= $until::TIMESTAMP
)
WHERE outcome.is_failed
