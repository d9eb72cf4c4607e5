CREATE OR REPLACE MACRO place_id(drop_day, source_file, line_number, rule, path) AS
    left(sha256(concat_ws(chr(10), drop_day::VARCHAR, source_file, line_number::VARCHAR, rule, path)), 32)
