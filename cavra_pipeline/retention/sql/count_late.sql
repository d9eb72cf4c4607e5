MERGE INTO pruned_drops AS stored
USING (
    SELECT drop_day, file_name, count(*) AS record_count FROM late GROUP BY ALL
) AS left_out
ON (NOT stored.is_closed AND stored.drop_day = left_out.drop_day AND stored.file_name = left_out.file_name)
WHEN MATCHED THEN UPDATE SET record_count = stored.record_count + left_out.record_count
WHEN NOT MATCHED THEN INSERT (drop_day, file_name, is_closed, record_count, quarantined_count, finding_count)
VALUES (left_out.drop_day, left_out.file_name, false, left_out.record_count, 0, 0)
