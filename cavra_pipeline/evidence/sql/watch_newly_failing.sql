-- The whole history of what fails for the first time. Without any, nothing is read.
INSERT INTO watched_records
SELECT * EXCLUDE (row_id, drop_day, file_name)
FROM watchable_records
SEMI JOIN newly_failing USING (lane, subject)
