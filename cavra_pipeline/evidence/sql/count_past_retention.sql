-- Records of the staged landing files that were created before the horizon, without those of closed files.
SELECT drop_day, file_name, count(*) AS record_count
FROM evidence_records
SEMI JOIN staged_drops USING (drop_day, file_name)
WHERE created_at < $horizon
GROUP BY drop_day, file_name
ORDER BY drop_day, file_name
