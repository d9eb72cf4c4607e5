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
        coalesce(sum(raw_bytes), 0)::BIGINT AS landing_bytes,
        md5(string_agg(file_name || coalesce(sha256, ''), ' ' ORDER BY file_name)) AS drop_digest
    FROM drops
    WHERE drop_day BETWEEN $first AND $last
    GROUP BY drop_day
),

held AS (
    SELECT drop_day, count(*) AS quarantined FROM quarantine WHERE drop_day BETWEEN $first AND $last GROUP BY drop_day
),

gone AS (
    SELECT drop_day, sum(record_count + quarantined_count)::BIGINT AS pruned_count
    FROM pruned_drops
    WHERE drop_day BETWEEN $first AND $last
    GROUP BY drop_day
),

found AS (
    SELECT drop_day, count(*) AS findings FROM findings WHERE drop_day BETWEEN $first AND $last GROUP BY drop_day
)

SELECT
    drop_day, drop_count, received_count, unknown_kind_count, dropped_field_count, unreadable_drop_count, landing_bytes,
    drop_digest,
    coalesce(accepted_count, 0) AS accepted_count, coalesce(superseded_count, 0) AS superseded_count,
    coalesce(pruned_count, 0) AS pruned_count, coalesce(other_word_count, 0) AS other_word_count,
    coalesce(deliveries, 0) AS deliveries, coalesce(acknowledgements, 0) AS acknowledgements,
    coalesce(retry_plans, 0) AS retry_plans, coalesce(worker_runs, 0) AS worker_runs,
    coalesce(executions, 0) AS executions, coalesce(quarantined, 0) AS quarantine, coalesce(findings, 0) AS findings
FROM read
LEFT JOIN kept USING (drop_day)
LEFT JOIN held USING (drop_day)
LEFT JOIN found USING (drop_day)
LEFT JOIN gone USING (drop_day)
ORDER BY drop_day
