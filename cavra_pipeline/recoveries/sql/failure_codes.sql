-- The HTTP statuses of the failures that a playbook counts: those of the provider in the time before the playbook.
WITH failures AS (
    SELECT created_at, unnest(outcomes) AS outcome
    FROM evidence
    WHERE
        record_type = 'delivery' AND list_contains($sources::VARCHAR[], connector_delivery_source)
        AND created_at <= $until
)

SELECT
    recoveries.opened_at,
    recoveries.playbook_id,
    recoveries.provider,
    list_sort(list_distinct(list(coalesce(failures.outcome.status_code, 0)))) AS status_codes
FROM recoveries
INNER JOIN failures
    ON failures.outcome.provider = recoveries.provider
    AND failures.created_at <= recoveries.opened_at
    AND failures.created_at >= recoveries.opened_at - to_hours($lookback_hours::INTEGER)
WHERE recoveries.opened_at <= $until AND failures.outcome.is_failed
GROUP BY recoveries.opened_at, recoveries.playbook_id, recoveries.provider
ORDER BY recoveries.opened_at, recoveries.playbook_id, recoveries.provider
