-- Versions older than one that goes: superseded, whenever they were created, and never current again. Only closed files
-- hold any that were there when it was pruned.
INSERT INTO removable
SELECT older.rowid
FROM evidence_records AS older
INNER JOIN (
    SELECT session_id, drop_day, file_name, line_number
    FROM evidence_records
    WHERE rowid IN (SELECT row_id FROM removable)
) AS gone
    ON
        older.session_id = gone.session_id
        AND (older.drop_day, older.file_name, older.line_number) < (gone.drop_day, gone.file_name, gone.line_number)
WHERE
    older.created_at >= $horizon
    AND NOT older.is_current
    AND older.rowid NOT IN (SELECT row_id FROM removable)
    AND ($is_new OR (older.drop_day, older.file_name) IN (SELECT (drop_day, file_name) FROM pruned_drops WHERE is_closed))
GROUP BY older.rowid
