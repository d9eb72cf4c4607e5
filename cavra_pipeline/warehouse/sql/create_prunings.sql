-- One row for each pruning: up to when, and what it removed. The latest horizon is in force.
CREATE TABLE prunings (
    horizon TIMESTAMP NOT NULL,
    pruned_at TIMESTAMP NOT NULL,
    record_count BIGINT NOT NULL,
    quarantined_count BIGINT NOT NULL,
    finding_count BIGINT NOT NULL,
    closed_drop_count BIGINT NOT NULL,
    closed_spell_count BIGINT NOT NULL
)
