SELECT
    lane,
    provider,
    count(*) FILTER (is_failed) AS failed_delivery_count,
    count(*) FILTER (NOT is_failed) AS delivered_delivery_count
FROM (
    SELECT lane, unnest(outcomes, max_depth := 2)
    FROM evidence_records
    WHERE
        is_current AND record_type = 'delivery' AND lane IS NOT NULL
        AND rowid IN (SELECT row_id FROM removable)
)
GROUP BY lane, provider
ORDER BY lane, provider
