-- As write_change where the staged landing files have brought nothing before: all of their records are new.
INSERT INTO evidence_changes
SELECT (SELECT commit_number + 1 FROM identity), min(created_at)
FROM (
    SELECT created_at
    FROM evidence_records
    SEMI JOIN (SELECT drop_day, file_name FROM staged_drops WHERE error IS NULL) AS staged USING (drop_day, file_name)
    UNION ALL
    SELECT created_at FROM evidence_records WHERE session_key IN (SELECT session_key FROM duplicated_ids)
)
HAVING count(*) > 0
