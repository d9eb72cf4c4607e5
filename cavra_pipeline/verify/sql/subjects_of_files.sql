-- Subjects of a lane's records that the given landing files have a version of, in any version of them.
SELECT DISTINCT subject
FROM evidence_records
WHERE
    lane = $lane AND subject <> ''
    AND session_id IN (SELECT session_id FROM evidence_records SEMI JOIN staged_files USING (drop_day, file_name))
