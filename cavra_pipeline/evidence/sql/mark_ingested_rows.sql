-- What may be watched and is not, or no longer: the ingested rows, and current versions of duplicated ids.
CREATE OR REPLACE TEMP TABLE ingested_rows AS
SELECT row_id, lane, subject, is_watched
FROM watchable_records
SEMI JOIN (SELECT drop_day, file_name FROM staged_drops WHERE error IS NULL) AS staged USING (drop_day, file_name)
UNION ALL
SELECT row_id, lane, subject, is_watched
FROM watchable_records
SEMI JOIN duplicated_ids USING (session_key, session_id)
