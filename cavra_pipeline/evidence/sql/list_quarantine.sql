SELECT drop_day, source_file, line_number, reason, field, sha256, file_name
FROM quarantine
WHERE drop_day BETWEEN $first AND $last
ORDER BY drop_day, file_name, source_file, line_number
