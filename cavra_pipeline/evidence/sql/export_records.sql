-- Current records in a total order; the columns are the declared fields.
SELECT {{columns}}
FROM evidence
WHERE
    ($since::TIMESTAMP IS NULL OR created_at >= $since)
    AND (NOT $made_here OR file_name LIKE 'cavra-pipeline-%')
ORDER BY created_at, session_id
