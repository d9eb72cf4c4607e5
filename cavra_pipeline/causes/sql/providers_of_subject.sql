-- The providers that a subject's deliveries name, up to an instant.
SELECT DISTINCT provider
FROM delivery_outcomes
WHERE subject = $subject AND lane IS NOT NULL AND created_at <= $as_of::TIMESTAMP
ORDER BY provider
