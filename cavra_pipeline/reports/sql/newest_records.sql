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

runs AS (
    SELECT
        created_at AS latest_worker_run_at,
        last(coalesce(run_id, session_id) ORDER BY session_id) AS latest_worker_run_id,
        last(schedule_enabled ORDER BY session_id) AS is_schedule_enabled
    FROM worker_runs
    WHERE lane = $lane AND created_at IN (SELECT latest_worker_run_at FROM newest)
    GROUP BY created_at
),

plans AS (
    SELECT
        created_at AS latest_retry_plan_at,
        last(coalesce(retry_plan_id, session_id) ORDER BY session_id) AS latest_retry_plan_id
    FROM retry_plans
    WHERE lane = $lane AND created_at IN (SELECT latest_retry_plan_at FROM newest)
    GROUP BY created_at
)

SELECT
    runs.latest_worker_run_id,
    newest.latest_worker_run_at,
    runs.is_schedule_enabled,
    plans.latest_retry_plan_id,
    newest.latest_retry_plan_at
FROM newest
LEFT JOIN runs USING (latest_worker_run_at)
LEFT JOIN plans USING (latest_retry_plan_at)
ORDER BY newest.number
