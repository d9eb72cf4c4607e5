-- What was not public-safe: the rule, the dotted path, and what became of the value. Never the value.
-- sha256 is that of the line, where it is known.
CREATE TABLE findings (
    drop_day DATE NOT NULL,
    file_name VARCHAR NOT NULL,
    source_file VARCHAR NOT NULL,
    line_number BIGINT NOT NULL,
    rule VARCHAR NOT NULL,
    path VARCHAR NOT NULL,
    action VARCHAR NOT NULL,
    sha256 VARCHAR
)
