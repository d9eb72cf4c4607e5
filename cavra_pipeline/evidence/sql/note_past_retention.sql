INSERT INTO pruned_drops BY NAME
SELECT drop_day, file_name, false AS is_closed, count(*) AS record_count, 0 AS quarantined_count, 0 AS finding_count
FROM evidence_records
SEMI JOIN staged_drops USING (drop_day, file_name)
WHERE created_at < $horizon
GROUP BY drop_day, file_name
ORDER BY drop_day, file_name
