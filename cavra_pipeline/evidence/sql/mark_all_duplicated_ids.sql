-- As mark_duplicated_ids, over every id: one pass, for when most records were just ingested.
CREATE OR REPLACE TEMP TABLE duplicated_ids AS
SELECT session_id, session_key FROM replaced
UNION
SELECT session_id, session_key
FROM evidence_records
WHERE session_key IN (SELECT session_key FROM evidence_records GROUP BY ALL HAVING count(*) > 1)
