-- Failures that opened a recovery which reports after the horizon name.
CREATE OR REPLACE TEMP TABLE causes AS
WITH failures AS (
    SELECT rowid AS row_id, created_at, unnest(outcomes) AS outcome
    FROM evidence_records
    WHERE
        is_current AND record_type = 'delivery' AND created_at < $horizon
        AND list_contains($sources::VARCHAR[], connector_delivery_source)
)

SELECT DISTINCT failures.row_id
FROM failures
INNER JOIN open_recoveries
    ON open_recoveries.provider = failures.outcome.provider
    AND failures.created_at <= open_recoveries.opened_at
    AND failures.created_at >= open_recoveries.opened_at - to_hours($lookback_hours::INTEGER)
WHERE failures.outcome.is_failed
