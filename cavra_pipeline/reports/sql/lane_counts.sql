-- What each lane's records add to the counts at each instant, over what the instants before it have seen. Pruned records
-- are before every instant.
WITH placed AS (
    SELECT 1 AS number, *
    FROM evidence
    WHERE lane IS NOT NULL AND created_at <= list_min($instants::TIMESTAMP[])
    UNION ALL
    SELECT asked.number, evidence.*
    FROM evidence
    ASOF JOIN asked($instants::TIMESTAMP[]) AS asked ON evidence.created_at <= asked.as_of
    WHERE lane IS NOT NULL AND evidence.created_at > list_min($instants::TIMESTAMP[])
)

SELECT
    number,
    lane,
    count(*) FILTER (record_type = 'health_report') AS health_report_count,
    coalesce(sum(alert_count) FILTER (record_type = 'health_report'), 0) AS health_alert_count,
    count(*) FILTER (record_type = 'retry_plan') AS retry_plan_count,
    coalesce(sum(retryable_count) FILTER (record_type = 'retry_plan'), 0) AS retryable_count,
    count(*) FILTER (record_type = 'worker_run' AND dry_run IS DISTINCT FROM false) AS dry_worker_run_count,
    count(*) FILTER (record_type = 'worker_run' AND NOT dry_run) AS live_worker_run_count,
    count(*) FILTER (status = 'delivered') AS delivered_execution_count,
    count(*) FILTER (status = 'failed') AS failed_execution_count,
    count(*) FILTER (status = 'skipped') AS skipped_execution_count,
    count(*) AS evidence_record_count
FROM placed
GROUP BY number, lane
UNION ALL BY NAME
SELECT 1 AS number, * EXCLUDE (latest_record_at, delivery_count)
FROM pruned_lanes
ORDER BY number, lane
