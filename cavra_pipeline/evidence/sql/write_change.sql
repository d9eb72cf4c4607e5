-- The earliest instant of which an answer may differ: records that came or went, and other versions of their ids, which
-- may be current now or no longer. A record that stands in another line of its landing file has not changed.
INSERT INTO evidence_changes
WITH staged_records AS (
    SELECT session_key, created_at, hash(*COLUMNS(* EXCLUDE (line_number, is_current))) AS digest
    FROM evidence_records
    SEMI JOIN (SELECT drop_day, file_name FROM staged_drops WHERE error IS NULL) AS staged USING (drop_day, file_name)
),

changed AS (
    (SELECT session_key, created_at, digest FROM replaced EXCEPT ALL FROM staged_records)
    UNION ALL
    (FROM staged_records EXCEPT ALL SELECT session_key, created_at, digest FROM replaced)
)

SELECT (SELECT commit_number + 1 FROM identity), min(created_at)
FROM (
    SELECT created_at FROM changed
    UNION ALL
    SELECT created_at FROM evidence_records WHERE session_key IN (SELECT session_key FROM changed)
)
HAVING count(*) > 0
