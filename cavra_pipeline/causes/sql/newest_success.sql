-- When a provider last accepted a delivery of any lane.
SELECT max(created_at) AS success_at
FROM delivery_outcomes
WHERE provider = $provider AND NOT is_failed AND lane IS NOT NULL AND created_at <= $as_of::TIMESTAMP
