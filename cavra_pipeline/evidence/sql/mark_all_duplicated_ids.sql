-- As mark_duplicated_ids, over every id: one pass over hashes, for when most records were just ingested. Ids that share
-- a hash or were settled before are settled again, which changes nothing.
CREATE OR REPLACE TEMP TABLE duplicated_ids AS
SELECT session_id FROM replaced
UNION
SELECT session_id
FROM evidence_records
WHERE hash(session_id) IN (SELECT hash(session_id) FROM evidence_records GROUP BY ALL HAVING count(*) > 1)
