-- What was left out of landing files that came after the pruning, where a warehouse is rebuilt.
CREATE OR REPLACE TEMP TABLE late AS
SELECT rowid AS row_id, drop_day, file_name
FROM evidence_records
ANTI JOIN (SELECT drop_day, file_name FROM pruned_drops WHERE is_closed) AS closed USING (drop_day, file_name)
WHERE created_at < $horizon
