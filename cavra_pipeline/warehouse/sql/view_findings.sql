-- What was not public-safe, once for a version of a record: at the first of the places where its line stands.
-- A finding about a file's name stands at line 0.
CREATE VIEW findings AS
SELECT *
FROM finding_rows
QUALIFY
    sha256 IS NULL
    OR line_number = 0
    OR rank() OVER (PARTITION BY sha256 ORDER BY drop_day, file_name, source_file, line_number) = 1
