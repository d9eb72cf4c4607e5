-- Ids of which more than one version may stand: replaced ones, and ingested ones that stand more than once. All keys are
-- searched, ids only where keys repeat; ids that share a key are settled again, which changes nothing.
CREATE OR REPLACE TEMP TABLE duplicated_ids AS
SELECT session_id, session_key FROM replaced
UNION
SELECT session_id, session_key
FROM evidence_records
SEMI JOIN (
    SELECT session_key
    FROM evidence_records
    SEMI JOIN (
        SELECT session_key
        FROM evidence_records
        SEMI JOIN (SELECT drop_day, file_name FROM staged_drops WHERE error IS NULL) AS staged USING (drop_day, file_name)
    ) AS ingested USING (session_key)
    GROUP BY session_key
    HAVING count(*) > 1
) AS repeated USING (session_key)
