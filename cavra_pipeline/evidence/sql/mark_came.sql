-- What may be watched and is not, or no longer: the given records, and current versions of ids that were contested.
CREATE OR REPLACE TEMP TABLE came AS
SELECT row_id, lane, subject, is_watched
FROM watchable_records
SEMI JOIN (SELECT drop_day, file_name FROM given_drops WHERE error IS NULL) AS given USING (drop_day, file_name)
UNION ALL
SELECT row_id, lane, subject, is_watched
FROM watchable_records
WHERE session_id IN (SELECT session_id FROM contested)
