-- The canonical texts of a lane's current records up to a UTC day, in the order in which segments hash them.
SELECT created_at::DATE AS segment_day, text
FROM ({{texts}})
ORDER BY created_at, session_id
