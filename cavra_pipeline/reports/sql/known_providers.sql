-- Every provider that a delivery names up to an instant, of one subject or of all.
SELECT DISTINCT provider
FROM delivery_outcomes
WHERE created_at <= $as_of::TIMESTAMP AND ($subject::VARCHAR IS NULL OR subject = $subject)
ORDER BY provider
