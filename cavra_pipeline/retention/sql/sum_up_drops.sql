-- What goes of each drop. Every drop that held evidence from before the horizon is closed, also where all of it stays.
INSERT INTO pruned_drops
WITH gone AS (
    SELECT drop_day, file_name, 0 AS records, 0 AS quarantined, 0 AS found FROM drops WHERE drop_day < $horizon::DATE
    UNION ALL
    SELECT drop_day, file_name, (rowid IN (SELECT row_id FROM removable))::BIGINT, 0, 0
    FROM evidence_records
    WHERE created_at < $horizon
    UNION ALL
    SELECT drop_day, file_name, 0, 1, 0 FROM quarantine WHERE drop_day < $horizon::DATE
    UNION ALL
    SELECT drop_day, file_name, 0, 0, 1 FROM findings WHERE drop_day < $horizon::DATE
)

SELECT drop_day, file_name, true, sum(records), sum(quarantined), sum(found)
FROM gone
GROUP BY drop_day, file_name
HAVING
    sum(records) + sum(quarantined) + sum(found) > 0
    OR (drop_day, file_name) NOT IN (SELECT (drop_day, file_name) FROM pruned_drops WHERE is_closed)
ORDER BY drop_day, file_name
