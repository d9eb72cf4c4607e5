SELECT
    max(horizon) AS horizon, max(pruned_at) AS pruned_at, sum(record_count)::BIGINT AS record_count,
    sum(quarantined_count)::BIGINT AS quarantined_count, sum(finding_count)::BIGINT AS finding_count,
    sum(closed_drop_count)::BIGINT AS closed_drop_count, sum(closed_spell_count)::BIGINT AS closed_spell_count
FROM prunings
