-- What the staged landing files brought before: those ids may fall back to another version, those days may change.
CREATE OR REPLACE TEMP TABLE replaced AS
SELECT session_id, session_key, created_at, lane, hash(*COLUMNS(* EXCLUDE (line_number, is_current))) AS digest
FROM evidence_records
SEMI JOIN (SELECT drop_day, file_name FROM staged_drops WHERE error IS NULL) AS staged USING (drop_day, file_name)
