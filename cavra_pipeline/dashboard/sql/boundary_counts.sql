SELECT
    (SELECT count(*) FROM quarantine WHERE drop_day <= $as_of::DATE) AS quarantined_record_count,
    (SELECT count(*) FROM findings WHERE drop_day <= $as_of::DATE) AS redaction_finding_count,
    (
        SELECT coalesce(sum(unknown_kind_count), 0)::BIGINT FROM drops WHERE drop_day <= $as_of::DATE
    ) AS unknown_kind_record_count
