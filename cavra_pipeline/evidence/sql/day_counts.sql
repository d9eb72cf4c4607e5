-- What each landing day brought, by table: current versions only, beside what was received, superseded and held back.
WITH kept AS (
    SELECT
        drop_day,
        count(*) FILTER (is_current) AS accepted_count,
        count(*) FILTER (NOT is_current) AS superseded_count,
        count(*) FILTER (is_current AND 'other' IN ({{word_columns}})) AS other_word_count,
        count(*) FILTER (is_current AND record_type = 'delivery') AS deliveries,
        count(*) FILTER (is_current AND record_type = 'acknowledgement') AS acknowledgements,
        count(*) FILTER (is_current AND record_type = 'retry_plan') AS retry_plans,
        count(*) FILTER (is_current AND record_type = 'worker_run') AS worker_runs,
        count(*) FILTER (is_current AND record_type = 'execution') AS executions
    FROM evidence_records
    WHERE drop_day BETWEEN $first AND $last
    GROUP BY drop_day
),

read AS (
    SELECT
        drop_day,
        count(*) AS drop_count,
        sum(received_count)::BIGINT AS received_count,
        sum(unknown_kind_count)::BIGINT AS unknown_kind_count,
        sum(dropped_field_count)::BIGINT AS dropped_field_count,
        count(error) AS unreadable_drop_count,
        sum(raw_bytes)::BIGINT AS landing_bytes,
        md5(string_agg(file_name || coalesce(sha256, ''), ' ' ORDER BY file_name)) AS drop_digest
    FROM drops
    WHERE drop_day BETWEEN $first AND $last
    GROUP BY drop_day
),

rejected_counts AS (
    SELECT drop_day, count(*) AS quarantine FROM quarantine WHERE drop_day BETWEEN $first AND $last GROUP BY drop_day
),

gone AS (
    SELECT drop_day, sum(record_count + quarantined_count)::BIGINT AS pruned_count
    FROM pruned_drops
    WHERE drop_day BETWEEN $first AND $last
    GROUP BY drop_day
),

finding_counts AS (
    SELECT drop_day, count(*) AS findings FROM findings WHERE drop_day BETWEEN $first AND $last GROUP BY drop_day
)

SELECT
    drop_day, coalesce(drop_digest, '') AS drop_digest, coalesce(COLUMNS(* EXCLUDE (drop_day, drop_digest)), 0)
FROM (SELECT unnest($days::DATE[]) AS drop_day)
LEFT JOIN read USING (drop_day)
LEFT JOIN kept USING (drop_day)
LEFT JOIN rejected_counts USING (drop_day)
LEFT JOIN finding_counts USING (drop_day)
LEFT JOIN gone USING (drop_day)
ORDER BY drop_day
