-- Mirror of the state database: one row for each pruning that was applied here: up to when, and what it removed.
CREATE TABLE prunings (
    pruning_number BIGINT NOT NULL,
    horizon TIMESTAMP NOT NULL,
    pruned_at TIMESTAMP NOT NULL,
    record_count BIGINT NOT NULL,
    quarantined_count BIGINT NOT NULL,
    finding_count BIGINT NOT NULL,
    closed_drop_count BIGINT NOT NULL,
    closed_spell_count BIGINT NOT NULL
)
