-- What the evidence says of a subject's deliveries to a provider: one that arrived, else the newest failure.
SELECT d.session_id, d.created_at, o.is_failed, o.status_code, coalesce(d.attempt_count, 1) AS attempt_count
FROM deliveries AS d
INNER JOIN delivery_outcomes AS o USING (session_id)
WHERE o.lane = $lane AND o.subject = $subject AND o.provider = $provider
ORDER BY o.is_failed, d.created_at DESC, d.session_id DESC
LIMIT 1
