-- Every provider that a delivery names, up to an instant.
SELECT DISTINCT provider
FROM delivery_outcomes
WHERE created_at <= $as_of::TIMESTAMP
ORDER BY provider
