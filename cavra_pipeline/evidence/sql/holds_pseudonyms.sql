-- A secret in a file's name is a finding of another action, and the name has a pseudonym too.
SELECT 1 AS is_held
FROM finding_rows
WHERE action = 'pseudonymised' OR path = 'file_name'
LIMIT 1
