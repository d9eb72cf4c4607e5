-- Findings, the secrets first.
SELECT
    {{is_secret}} AS is_secret,
    drop_day, source_file, line_number, rule, path, action, file_name
FROM findings
WHERE drop_day BETWEEN $first AND $last
ORDER BY is_secret DESC, drop_day, file_name, source_file, line_number, rule, path
