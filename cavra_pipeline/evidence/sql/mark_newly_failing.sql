CREATE OR REPLACE TEMP TABLE newly_failing AS
SELECT DISTINCT lane, subject, key_of(subject) AS subject_key
FROM ingested_rows
ANTI JOIN watched_records USING (lane, subject)
WHERE is_watched AND subject <> ''
