-- The newest worker run and the newest retry plan at each instant: first when they were, by narrow columns, then what
-- else is asked of those few.
WITH came AS (
    SELECT
        asked.number,
        max(created_at) FILTER (record_type = 'worker_run') AS worker_run_at,
        max(created_at) FILTER (record_type = 'retry_plan') AS retry_plan_at
    FROM evidence
    ASOF JOIN asked($instants::TIMESTAMP[]) AS asked ON evidence.created_at <= asked.as_of
    WHERE
        lane = $lane AND created_at >= least(
            coalesce($runs_since::TIMESTAMP, TIMESTAMP '-infinity'),
            coalesce($plans_since::TIMESTAMP, TIMESTAMP '-infinity')
        )
        AND created_at <= list_max($instants::TIMESTAMP[]) AND record_type IN ('worker_run', 'retry_plan')
    GROUP BY asked.number
),

newest AS MATERIALIZED (
    SELECT
        asked.number,
        max(came.worker_run_at) OVER so_far AS latest_worker_run_at,
        max(came.retry_plan_at) OVER so_far AS latest_retry_plan_at
    FROM asked($instants::TIMESTAMP[]) AS asked
    LEFT JOIN came USING (number)
    WINDOW so_far AS (ORDER BY asked.number)
),

found AS MATERIALIZED (
    SELECT
        record_type,
        created_at,
        last(coalesce(run_id, session_id) ORDER BY session_id) AS run_id,
        last(schedule_enabled ORDER BY session_id) AS is_schedule_enabled,
        last(coalesce(retry_plan_id, session_id) ORDER BY session_id) AS retry_plan_id
    FROM evidence
    WHERE
        lane = $lane AND record_type IN ('worker_run', 'retry_plan')
        AND created_at IN (SELECT unnest([latest_worker_run_at, latest_retry_plan_at]) FROM newest)
    GROUP BY ALL
)

SELECT
    runs.run_id AS latest_worker_run_id,
    newest.latest_worker_run_at,
    runs.is_schedule_enabled,
    plans.retry_plan_id AS latest_retry_plan_id,
    newest.latest_retry_plan_at
FROM newest
LEFT JOIN found AS runs ON runs.record_type = 'worker_run' AND runs.created_at = newest.latest_worker_run_at
LEFT JOIN found AS plans ON plans.record_type = 'retry_plan' AND plans.created_at = newest.latest_retry_plan_at
ORDER BY newest.number
