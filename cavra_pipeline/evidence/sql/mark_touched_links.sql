-- Deliveries whose link to what they retry (contract section 4a) may have changed: their own record or an execution that
-- names them came or went.
CREATE OR REPLACE TEMP TABLE touched_links AS
SELECT retried_as
FROM retry_links
WHERE session_id IN (SELECT session_id FROM duplicated_ids) OR retried_as IN (SELECT session_id FROM duplicated_ids)
UNION
SELECT CASE record_type WHEN 'delivery' THEN session_id ELSE retried_as END AS retried_as
FROM watchable_records
WHERE
    row_id IN (SELECT row_id FROM ingested_rows WHERE has_new_subjects(lane))
    AND (record_type = 'delivery' OR record_type = 'execution' AND retried_as IS NOT NULL)
