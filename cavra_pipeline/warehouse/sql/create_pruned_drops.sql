-- What is no longer there of a landing file. A closed one held evidence from before the horizon and is not read again; its rows
-- are a mirror of the state database. The others count records that were left out of a file that is read.
CREATE TABLE pruned_drops (
    pruning_number BIGINT,
    drop_day DATE NOT NULL,
    file_name VARCHAR NOT NULL,
    is_closed BOOLEAN NOT NULL,
    record_count BIGINT NOT NULL,
    quarantined_count BIGINT NOT NULL,
    finding_count BIGINT NOT NULL,
    remaining_lines BIGINT[]
)
