-- What was not public-safe: the rule, the dotted path, and what became of the value. Never the value.
-- A row for each place; the view findings counts a version of a record once.
-- sha256 is that of the line, where it is known.
CREATE TABLE finding_rows (
    drop_day DATE NOT NULL,
    file_name VARCHAR NOT NULL,
    source_file VARCHAR NOT NULL,
    line_number BIGINT NOT NULL,
    rule VARCHAR NOT NULL,
    path VARCHAR NOT NULL,
    action VARCHAR NOT NULL,
    sha256 VARCHAR
)
