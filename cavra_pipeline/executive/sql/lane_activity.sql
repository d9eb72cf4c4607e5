-- What each lane did in the window of each instant. A record is in the windows of the instants from the first that sees
-- it to the last whose window has not started after it.
WITH starts AS (
    SELECT as_of AS window_start, min(number) AS number FROM numbered($window_starts::TIMESTAMP[]) GROUP BY as_of
),

acts AS (
    SELECT
        lane,
        created_at,
        record_type,
        dry_run,
        record_type = 'delivery' AND list_bool_or(list_transform(outcomes, lambda o: o.is_failed)) AS is_failed,
        status
    FROM evidence
    WHERE lane IS NOT NULL AND created_at >= list_min($window_starts::TIMESTAMP[])
),

counted AS (
    SELECT
        acts.lane,
        opening.number AS first_seen,
        coalesce(closing.number - 1, len($instants::TIMESTAMP[])) AS last_seen,
        count(*) FILTER (record_type = 'delivery') AS delivery_count,
        count(*) FILTER (is_failed) AS failed_delivery_count,
        count(*) FILTER (record_type = 'acknowledgement') AS acknowledgement_count,
        count(*) FILTER (record_type = 'worker_run') AS worker_run_count,
        count(*) FILTER (record_type = 'worker_run' AND NOT dry_run) AS live_worker_run_count,
        count(*) FILTER (status = 'delivered') AS delivered_execution_count,
        count(*) FILTER (status = 'failed') AS failed_execution_count,
        count(*) FILTER (status = 'skipped') AS skipped_execution_count
    FROM acts
    ASOF JOIN numbered($instants::TIMESTAMP[]) AS opening ON acts.created_at <= opening.as_of
    ASOF LEFT JOIN starts AS closing ON acts.created_at < closing.window_start
    GROUP BY ALL
)

SELECT
    instants.number,
    counted.lane,
    sum(counted.delivery_count)::BIGINT AS delivery_count,
    sum(counted.failed_delivery_count)::BIGINT AS failed_delivery_count,
    sum(counted.acknowledgement_count)::BIGINT AS acknowledgement_count,
    sum(counted.worker_run_count)::BIGINT AS worker_run_count,
    sum(counted.live_worker_run_count)::BIGINT AS live_worker_run_count,
    sum(counted.delivered_execution_count)::BIGINT AS delivered_execution_count,
    sum(counted.failed_execution_count)::BIGINT AS failed_execution_count,
    sum(counted.skipped_execution_count)::BIGINT AS skipped_execution_count
FROM counted
INNER JOIN numbered($instants::TIMESTAMP[]) AS instants
    ON instants.number >= counted.first_seen AND instants.number <= counted.last_seen
GROUP BY instants.number, counted.lane
ORDER BY instants.number, counted.lane
