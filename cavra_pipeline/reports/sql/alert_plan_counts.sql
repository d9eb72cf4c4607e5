-- What the alert plans, the deliveries and the acknowledgements of one sort of health alert count to, at one instant.
SELECT
    count(*) FILTER (metadata_kind = $plan_kind) AS plan_count,
    count(*) FILTER (record_type = 'delivery') AS delivery_count,
    count(*) FILTER (record_type = 'delivery' AND delivery_success IS DISTINCT FROM true) AS failed_delivery_count,
    count(*) FILTER (metadata_kind = $acknowledgement_kind) AS acknowledgement_count,
    coalesce(sum(len(selected_providers)) FILTER (metadata_kind = $plan_kind), 0)::BIGINT AS selected_provider_count,
    coalesce(
        sum(coalesce(suppressed_provider_count, len(suppressed_providers))) FILTER (metadata_kind = $plan_kind), 0
    )::BIGINT AS suppressed_provider_count
FROM evidence
WHERE
    created_at <= $as_of::TIMESTAMP
    AND (
        metadata_kind IN ($plan_kind, $acknowledgement_kind)
        OR (record_type = 'delivery' AND connector_delivery_source = $source)
    )
