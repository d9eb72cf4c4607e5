INSERT INTO prunings
VALUES (
    $horizon, $pruned_at, $record_count, $quarantined_count, $finding_count, $closed_drop_count, $closed_spell_count
)
