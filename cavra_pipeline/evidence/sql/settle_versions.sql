-- The version in the later landing day, then later file name, then later line, is current (contract section 2).
UPDATE evidence_records
SET is_current = ranked.is_newest
FROM (
    SELECT
        rowid AS row_id,
        row_number() OVER (
            PARTITION BY session_id ORDER BY drop_day DESC, file_name DESC, line_number DESC
        ) = 1 AS is_newest
    FROM evidence_records
    WHERE session_key IN (SELECT session_key FROM duplicated_ids)
) AS ranked
WHERE evidence_records.rowid = ranked.row_id AND evidence_records.is_current <> ranked.is_newest
