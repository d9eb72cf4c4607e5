-- Failures that a playbook counts, by provider: of audit deliveries and of alerts about their worker, since an instant, at
-- pairs that nothing has reached yet.
WITH audits AS (
    SELECT provider, created_at
    FROM attributed_outcomes($lane, $as_of::TIMESTAMP)
    SEMI JOIN failing_pairs($lane, $as_of::TIMESTAMP) USING (subject, provider)
    WHERE is_failed
),

alerts AS (
    SELECT {{subject}} AS subject, created_at, unnest(outcomes) AS outcome
    FROM evidence
    WHERE
        record_type = 'delivery' AND lane IS NULL AND created_at <= $as_of
        AND list_contains($sources::VARCHAR[], connector_delivery_source)
),

unreached AS (
    SELECT outcome.provider AS provider, created_at, outcome.is_failed AS is_failed
    FROM alerts
    QUALIFY count(*) FILTER (NOT outcome.is_failed) OVER (PARTITION BY subject, outcome.provider) = 0
)

SELECT provider, count(*) AS failure_count, max(created_at) AS latest_failure_at
FROM (SELECT provider, created_at FROM audits UNION ALL SELECT provider, created_at FROM unreached)
WHERE created_at >= $since AND provider <> ''
GROUP BY provider
HAVING count(*) >= $min_failure_count
ORDER BY provider
