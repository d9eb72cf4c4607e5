CREATE OR REPLACE TEMP TABLE newly_failing AS
SELECT DISTINCT lane, subject
FROM ingested_rows
ANTI JOIN watched_records USING (lane, subject)
WHERE is_watched AND subject <> ''
