-- Ids of which more than one version may stand: replaced ones, and ingested ones that stand more than once.
CREATE OR REPLACE TEMP TABLE duplicated_ids AS
SELECT session_id FROM replaced
UNION
SELECT session_id
FROM evidence_records
SEMI JOIN (
    SELECT session_id
    FROM evidence_records
    SEMI JOIN (SELECT drop_day, file_name FROM staged_drops WHERE error IS NULL) AS staged USING (drop_day, file_name)
) AS ingested USING (session_id)
GROUP BY session_id
HAVING count(*) > 1
