-- The whole history of what fails for the first time. Its rows are found by two narrow columns; all that is wanted of
-- them is read only where they are.
INSERT INTO watched_records BY NAME
SELECT * EXCLUDE (row_id, is_watched, drop_day, file_name)
FROM watchable_records
WHERE row_id IN (SELECT rowid FROM evidence_records SEMI JOIN newly_failing USING (lane, subject))
