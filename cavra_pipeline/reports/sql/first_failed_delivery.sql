-- When a delivery of a source first did not say that it succeeded.
SELECT min(created_at) AS failed_at
FROM evidence
WHERE
    record_type = 'delivery' AND connector_delivery_source = $source AND delivery_success IS DISTINCT FROM true
    AND created_at <= $until
