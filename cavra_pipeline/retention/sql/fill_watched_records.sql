-- The table from all evidence. Records without a subject are few, and watched always.
INSERT INTO watched_records BY NAME
WITH failing AS (
    SELECT DISTINCT lane, subject FROM watchable_records WHERE is_watched AND subject <> ''
)

SELECT * EXCLUDE (row_id, session_key, is_watched, drop_day, file_name)
FROM watchable_records
SEMI JOIN failing USING (lane, subject)
UNION ALL
SELECT * EXCLUDE (row_id, session_key, is_watched, drop_day, file_name)
FROM watchable_records
WHERE coalesce(subject, '') = ''
ORDER BY lane, subject
