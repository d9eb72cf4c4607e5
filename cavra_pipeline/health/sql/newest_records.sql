-- The newest worker run and the newest retry plan at each instant.
WITH runs AS (
    SELECT
        created_at,
        last(coalesce(run_id, session_id) ORDER BY session_id) AS latest_worker_run_id,
        last(schedule_enabled ORDER BY session_id) AS is_schedule_enabled
    FROM worker_runs
    WHERE
        lane = $lane AND created_at <= list_max($instants::TIMESTAMP[])
        AND created_at >= coalesce($runs_since::TIMESTAMP, TIMESTAMP '-infinity')
    GROUP BY created_at
),

plans AS (
    SELECT created_at, last(coalesce(retry_plan_id, session_id) ORDER BY session_id) AS latest_retry_plan_id
    FROM retry_plans
    WHERE
        lane = $lane AND created_at <= list_max($instants::TIMESTAMP[])
        AND created_at >= coalesce($plans_since::TIMESTAMP, TIMESTAMP '-infinity')
    GROUP BY created_at
)

SELECT
    runs.latest_worker_run_id,
    runs.created_at AS latest_worker_run_at,
    runs.is_schedule_enabled,
    plans.latest_retry_plan_id,
    plans.created_at AS latest_retry_plan_at
FROM asked($instants::TIMESTAMP[]) AS asked
ASOF LEFT JOIN runs ON asked.as_of >= runs.created_at
ASOF LEFT JOIN plans ON asked.as_of >= plans.created_at
ORDER BY asked.number
