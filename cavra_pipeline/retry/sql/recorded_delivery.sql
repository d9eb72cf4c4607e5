-- What the evidence says of a first delivery.
SELECT d.created_at, o.is_failed, o.status_code, coalesce(d.attempt_count, 1) AS attempt_count
FROM deliveries AS d
INNER JOIN delivery_outcomes AS o USING (session_id)
WHERE d.session_id = $session_id AND o.provider = $provider
