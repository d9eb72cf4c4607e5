-- Pairs of which a retry was skipped, and when last.
SELECT subject, provider, max(created_at) AS skipped_at
FROM attributed_records($lane, $as_of::TIMESTAMP)
WHERE record_type = 'execution' AND execution_status = 'skipped'
GROUP BY subject, provider
ORDER BY subject, provider
