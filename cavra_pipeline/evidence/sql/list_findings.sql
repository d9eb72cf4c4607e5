-- Findings, the secrets first. A value that a pseudonym stands for is no secret.
SELECT
    action IN ('dropped', 'quarantined') AND NOT list_contains($not_secrets::VARCHAR[], rule) AS is_secret,
    drop_day, source_file, line_number, rule, path, action, file_name
FROM findings
ORDER BY is_secret DESC, drop_day, file_name, source_file, line_number, rule, path
LIMIT $most
