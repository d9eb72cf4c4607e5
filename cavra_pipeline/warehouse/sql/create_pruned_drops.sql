-- What is no longer there of a drop. A closed one held evidence from before the horizon and is not read again.
CREATE TABLE pruned_drops (
    drop_day DATE NOT NULL,
    file_name VARCHAR NOT NULL,
    is_closed BOOLEAN NOT NULL,
    record_count BIGINT NOT NULL,
    quarantined_count BIGINT NOT NULL,
    finding_count BIGINT NOT NULL
)
