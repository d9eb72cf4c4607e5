INSERT INTO pruned_drops
SELECT drop_day, file_name, false, count(*), 0, 0
FROM evidence_records
SEMI JOIN given_drops USING (drop_day, file_name)
WHERE created_at < $horizon
GROUP BY drop_day, file_name
ORDER BY drop_day, file_name
