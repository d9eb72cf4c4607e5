-- Ids of which more than one version may stand: replaced ones, ones that stand already, ones that come twice.
CREATE OR REPLACE TEMP TABLE contested AS
SELECT session_id FROM replaced
UNION
SELECT session_id FROM given_records SEMI JOIN evidence_records USING (session_id)
UNION
SELECT session_id FROM given_records GROUP BY session_id HAVING count(*) > 1
