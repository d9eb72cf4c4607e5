CREATE OR REPLACE TEMP TABLE duplicated_ids AS
SELECT DISTINCT session_id, session_key
FROM evidence_records
WHERE rowid IN (SELECT row_id FROM late UNION ALL SELECT row_id FROM removable)
