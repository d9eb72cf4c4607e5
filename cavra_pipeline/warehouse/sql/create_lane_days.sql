-- Derived from evidence_records, kept by every ingest and pruning: reports count by it what came before the day of an instant.
CREATE TABLE lane_days (
    lane VARCHAR NOT NULL,
    segment_day DATE NOT NULL,
    record_type VARCHAR NOT NULL,
    record_count BIGINT NOT NULL
)
