-- One pass over raw lines: the shape of each (its kind, every key and every value's type, in order) and whether
-- any hint of something that only the reference may judge stands in it. A line that is not JSON has no shape.
SELECT
    line_number,
    CASE
        WHEN json_valid(line) THEN hash(
            json_extract_string(line, '$.metadata_kind'),
            json_keys(line),
            json_keys(line, '$..*'),
            json_type(line, '$..*'),
            json_array_length(line, {{list_paths}})
        )
    END AS shape,
    regexp_matches(line, {{hint}}) AS is_suspect
FROM lines
