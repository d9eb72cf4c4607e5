SELECT drop_day, source_file, line_number, rule, path, action, file_name
FROM findings
ORDER BY drop_day, file_name, source_file, line_number, rule, path
LIMIT $most
