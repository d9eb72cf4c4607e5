-- The lanes that name a subject.
SELECT DISTINCT lane
FROM evidence
WHERE
    subject = $subject AND lane IS NOT NULL AND created_at <= $as_of::TIMESTAMP
    AND record_type IN ('delivery', 'execution', 'acknowledgement', 'approval')
ORDER BY lane
