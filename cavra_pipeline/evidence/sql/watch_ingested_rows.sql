-- Ingested rows of a history that is watched already, or without a subject.
INSERT INTO watched_records BY NAME
SELECT * EXCLUDE (row_id, session_key, is_watched, drop_day, file_name)
FROM watchable_records
WHERE row_id IN (
    SELECT row_id FROM ingested_rows SEMI JOIN watched_records USING (lane, subject) WHERE subject <> ''
    UNION ALL
    SELECT row_id FROM ingested_rows WHERE coalesce(subject, '') = ''
)
