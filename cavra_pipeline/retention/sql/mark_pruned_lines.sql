CREATE OR REPLACE TEMP TABLE removable AS
SELECT rowid AS row_id
FROM evidence_records
SEMI JOIN staged_drops USING (drop_day, file_name)
ANTI JOIN (
    SELECT drop_day, file_name, unnest(remaining_lines) AS line_number FROM staged_drops
) AS stays USING (drop_day, file_name, line_number)
WHERE created_at < $horizon
