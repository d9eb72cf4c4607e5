-- The canonical texts of one kind of a lane's current records, up to a UTC day.
SELECT created_at, session_id, {{text}} AS text
FROM evidence_records
WHERE is_current AND coalesce(lane, '') = $lane AND created_at::DATE <= $last_day AND {{of_kind}}
