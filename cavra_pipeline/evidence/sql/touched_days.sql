SELECT created_at::DATE AS created_day FROM replaced
UNION
SELECT created_at::DATE
FROM evidence_records
SEMI JOIN (SELECT drop_day, file_name FROM staged_drops WHERE error IS NULL) AS staged USING (drop_day, file_name)
ORDER BY created_day
