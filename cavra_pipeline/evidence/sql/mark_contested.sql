-- Ids of which more than one version may stand: replaced ones, and given ones that stand more than once.
CREATE OR REPLACE TEMP TABLE contested AS
SELECT session_id FROM replaced
UNION
SELECT session_id
FROM evidence_records
SEMI JOIN (
    SELECT session_id
    FROM evidence_records
    SEMI JOIN (SELECT drop_day, file_name FROM given_drops WHERE error IS NULL) AS given USING (drop_day, file_name)
) AS came USING (session_id)
GROUP BY session_id
HAVING count(*) > 1
