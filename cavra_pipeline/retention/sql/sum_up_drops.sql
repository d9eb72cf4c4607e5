-- What goes of each landing file, and the lines from before the horizon that stay. Every file that held evidence from before the
-- horizon is closed, also where all of it stays.
WITH gone AS (
    SELECT drop_day, file_name, NULL AS line_number, 0 AS records, 0 AS quarantined, 0 AS findings
    FROM drops
    WHERE drop_day < $horizon::DATE
    UNION ALL
    SELECT
        drop_day, file_name, CASE WHEN row_id IS NULL AND created_at < $horizon THEN line_number END,
        (row_id IS NOT NULL)::BIGINT, 0, 0
    FROM evidence_records
    LEFT JOIN removable ON removable.row_id = evidence_records.rowid
    WHERE created_at < $horizon OR row_id IS NOT NULL
    UNION ALL
    SELECT drop_day, file_name, NULL, 0, 1, 0 FROM quarantine WHERE drop_day < $horizon::DATE
    UNION ALL
    SELECT drop_day, file_name, NULL, 0, 0, 1 FROM findings WHERE drop_day < $horizon::DATE
)

SELECT
    drop_day, file_name, sum(records)::BIGINT AS record_count, sum(quarantined)::BIGINT AS quarantined_count,
    sum(findings)::BIGINT AS finding_count,
    coalesce(list(line_number ORDER BY line_number) FILTER (line_number IS NOT NULL), []) AS remaining_lines
FROM gone
GROUP BY drop_day, file_name
HAVING
    record_count + quarantined_count + finding_count > 0
    OR (drop_day, file_name) NOT IN (SELECT (drop_day, file_name) FROM pruned_drops WHERE is_closed)
ORDER BY drop_day, file_name
