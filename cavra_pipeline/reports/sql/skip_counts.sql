-- Executions that were skipped, by lane and reason, that each instant sees and the instants before it do not. Pruned ones
-- are before every instant.
WITH placed AS (
    SELECT instants.number, evidence.lane, coalesce(nullif(evidence.skip_reason, ''), 'other') AS reason
    FROM evidence
    ASOF JOIN numbered($instants::TIMESTAMP[]) AS instants ON evidence.created_at <= instants.as_of
    WHERE evidence.lane IS NOT NULL AND evidence.record_type = 'execution' AND evidence.status = 'skipped'
)

SELECT number, lane, reason, count(*) AS skipped_count
FROM placed
GROUP BY ALL
UNION ALL BY NAME
SELECT 1 AS number, lane, reason, skipped_count
FROM pruned_skips
ORDER BY number, lane, reason
