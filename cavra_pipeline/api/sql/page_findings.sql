-- Findings in the order in which the command line lists them, from a place on.
SELECT drop_day, source_file, line_number, rule, path, action, file_name
FROM findings
WHERE
    ($first::DATE IS NULL OR drop_day >= $first)
    AND ($last::DATE IS NULL OR drop_day <= $last)
    AND ($rule::VARCHAR IS NULL OR rule = $rule)
ORDER BY drop_day, file_name, source_file, line_number, rule, path
LIMIT $most OFFSET $start
