INSERT INTO pruned_providers
SELECT
    lane,
    provider,
    count(*) FILTER (is_failed),
    count(*) FILTER (NOT is_failed)
FROM (
    SELECT lane, unnest(outcomes, max_depth := 2)
    FROM evidence_records
    WHERE
        is_current AND record_type = 'delivery' AND lane IS NOT NULL
        AND rowid IN (SELECT row_id FROM removable)
)
GROUP BY lane, provider
ORDER BY lane, provider
