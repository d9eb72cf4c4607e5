-- The connectors that audit deliveries, or the plans of them, named up to an instant.
WITH named AS (
    SELECT unnest(selected_providers) AS provider
    FROM evidence
    WHERE metadata_kind = $plan_kind AND created_at <= $as_of::TIMESTAMP
    UNION ALL
    SELECT unnest(list_transform(outcomes, lambda outcome: outcome.provider))
    FROM deliveries
    WHERE connector_delivery_source = $source AND created_at <= $as_of::TIMESTAMP
)

SELECT DISTINCT provider_name(provider) AS provider
FROM named
WHERE provider_name(provider) <> ''
ORDER BY provider
