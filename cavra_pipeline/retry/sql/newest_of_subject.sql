-- The newest record of a type that names a subject.
SELECT session_id
FROM evidence
WHERE record_type = $record_type AND lane = $lane AND {{subject}} = $subject AND created_at <= $as_of::TIMESTAMP
ORDER BY created_at DESC, session_id DESC
LIMIT 1
