-- Rejected lines: where they stood, their digest and why.
CREATE TABLE quarantine (
    drop_day DATE NOT NULL,
    file_name VARCHAR NOT NULL,
    source_file VARCHAR NOT NULL,
    line_number BIGINT NOT NULL,
    sha256 VARCHAR NOT NULL,
    reason VARCHAR NOT NULL,
    field VARCHAR
)
