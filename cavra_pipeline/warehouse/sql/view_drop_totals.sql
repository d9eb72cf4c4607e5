CREATE OR REPLACE VIEW drop_totals AS
SELECT
    drops.drop_day,
    drops.file_name,
    drops.received_count,
    coalesce(kept.accepted_count, 0) AS accepted_count,
    coalesce(kept.superseded_count, 0) AS superseded_count,
    coalesce(rejected.quarantined_count, 0) AS quarantined_count,
    coalesce(gone.pruned_count, 0) AS pruned_count
FROM drops
LEFT JOIN (
    SELECT
        drop_day, file_name, count(*) FILTER (is_current) AS accepted_count,
        count(*) FILTER (NOT is_current) AS superseded_count
    FROM evidence_records
    GROUP BY ALL
) AS kept USING (drop_day, file_name)
LEFT JOIN (
    SELECT drop_day, file_name, count(*) AS quarantined_count FROM quarantine GROUP BY ALL
) AS rejected USING (drop_day, file_name)
LEFT JOIN (
    SELECT drop_day, file_name, sum(record_count + quarantined_count)::BIGINT AS pruned_count
    FROM pruned_drops
    GROUP BY ALL
) AS gone USING (drop_day, file_name)
