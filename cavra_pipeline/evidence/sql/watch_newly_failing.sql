-- The whole history of what fails for the first time.
INSERT INTO watched_records BY NAME
SELECT * EXCLUDE (row_id, session_key, is_watched, drop_day, file_name)
FROM watchable_records
SEMI JOIN newly_failing USING (lane, subject)
WHERE row_id IN (SELECT row_id FROM newly_watched)
