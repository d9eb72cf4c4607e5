-- The commit that changed each segment last: current records of a lane, empty for none, and a UTC day of created_at.
CREATE TABLE touched_segments (
    lane VARCHAR NOT NULL,
    segment_day DATE NOT NULL,
    commit_number BIGINT NOT NULL
)
