-- One row for each file of the landing zone that was read, or could not be.
CREATE TABLE drops (
    drop_day DATE NOT NULL,
    file_name VARCHAR NOT NULL,
    fingerprint VARCHAR NOT NULL,
    sha256 VARCHAR,
    raw_bytes BIGINT NOT NULL,
    received_count BIGINT NOT NULL,
    quarantined_count BIGINT NOT NULL,
    unknown_kind_count BIGINT NOT NULL,
    dropped_field_count BIGINT NOT NULL,
    error VARCHAR,
    ingested_at TIMESTAMP NOT NULL,
    commit_number BIGINT NOT NULL
)
