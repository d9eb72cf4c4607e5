SELECT 1 AS is_held
FROM findings
WHERE action = 'pseudonymised'
LIMIT 1
