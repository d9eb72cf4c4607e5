-- Quarantined lines in the order in which the command line lists them, from a place on.
SELECT drop_day, source_file, line_number, reason, field, sha256, file_name
FROM quarantine
WHERE
    ($first::DATE IS NULL OR drop_day >= $first)
    AND ($last::DATE IS NULL OR drop_day <= $last)
    AND ($reason::VARCHAR IS NULL OR reason = $reason)
ORDER BY drop_day, file_name, source_file, line_number
LIMIT $most OFFSET $start
