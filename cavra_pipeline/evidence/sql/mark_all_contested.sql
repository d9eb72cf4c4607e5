-- The same, asked of every id and not only of the given ones: one pass over hashes, for when most records just came.
CREATE OR REPLACE TEMP TABLE contested AS
SELECT session_id FROM replaced
UNION
SELECT session_id
FROM evidence_records
WHERE hash(session_id) IN (SELECT hash(session_id) FROM evidence_records GROUP BY ALL HAVING count(*) > 1)
