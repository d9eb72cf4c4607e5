-- Mirror of the state database: what pruned executions add to the skipped ones of each lane and reason.
CREATE TABLE pruned_skips (
    pruning_number BIGINT NOT NULL,
    lane VARCHAR NOT NULL,
    reason VARCHAR NOT NULL,
    skipped_count BIGINT NOT NULL
)
