-- Subjects of which a record comes or goes, of lanes whose retries keep their subject. Ids that stand more than once are not
-- removed from watched_records yet.
CREATE OR REPLACE TEMP TABLE touched_subjects AS
SELECT DISTINCT lane, subject
FROM (
    SELECT lane, subject FROM watched_records SEMI JOIN duplicated_ids USING (session_id)
    UNION ALL
    SELECT lane, subject FROM ingested_rows
)
WHERE subject <> '' AND NOT has_new_subjects(lane)
