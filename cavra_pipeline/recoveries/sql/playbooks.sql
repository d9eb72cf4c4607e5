-- When each playbook was written; one without an entry opens nothing.
SELECT created_at
FROM evidence
WHERE record_type = 'playbook'
ORDER BY created_at
