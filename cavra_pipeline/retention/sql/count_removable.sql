SELECT
    (SELECT count(*) FROM removable) AS record_count,
    (SELECT count(*) FROM quarantine WHERE drop_day < $horizon::DATE) AS quarantined_count,
    (SELECT count(*) FROM findings WHERE drop_day < $horizon::DATE) AS finding_count,
    (
        SELECT count(*)
        FROM (
            SELECT drop_day, file_name FROM drops WHERE drop_day < $horizon::DATE
            UNION
            SELECT drop_day, file_name
            FROM evidence_records
            WHERE created_at < $horizon OR rowid IN (SELECT row_id FROM removable)
            EXCEPT
            SELECT drop_day, file_name FROM pruned_drops WHERE is_closed
        )
    ) AS closed_drop_count
