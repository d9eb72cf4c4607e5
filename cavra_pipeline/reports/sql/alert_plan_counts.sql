-- What the alert plans, the deliveries and the acknowledgements of a lane of health alerts count to, at one instant.
WITH seen AS (
    SELECT *
    FROM evidence
    WHERE lane = $lane AND created_at <= $as_of::TIMESTAMP
)

SELECT
    count(*) FILTER (record_type = 'alert_plan') AS plan_count,
    count(*) FILTER (record_type = 'delivery') AS delivery_count,
    count(*) FILTER (record_type = 'delivery' AND delivery_success IS DISTINCT FROM true) AS failed_delivery_count,
    count(*) FILTER (record_type = 'acknowledgement') AS acknowledgement_count,
    coalesce(sum(len(selected_providers)) FILTER (record_type = 'alert_plan'), 0)::BIGINT AS selected_provider_count,
    coalesce(
        sum(coalesce(suppressed_provider_count, len(suppressed_providers))) FILTER (record_type = 'alert_plan'), 0
    )::BIGINT AS suppressed_provider_count
FROM seen
