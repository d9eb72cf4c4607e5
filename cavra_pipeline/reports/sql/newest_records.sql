-- The newest worker run and the newest retry plan at each instant.
WITH by_instant AS (
    SELECT
        instants.number,
        arg_max({
            'id': coalesce(nullif(run_id, ''), session_id), 'at': created_at, 'is_schedule_enabled': schedule_enabled
        }, (created_at, session_id)) FILTER (record_type = 'worker_run') AS run,
        arg_max({
            'id': coalesce(nullif(retry_plan_id, ''), session_id), 'at': created_at
        }, (created_at, session_id)) FILTER (record_type = 'retry_plan') AS plan
    FROM runs_and_plans
    ASOF JOIN numbered($instants::TIMESTAMP[]) AS instants ON runs_and_plans.created_at <= instants.as_of
    GROUP BY instants.number
),

newest AS (
    SELECT
        instants.number,
        last_value(by_instant.run IGNORE NULLS) OVER so_far AS run,
        last_value(by_instant.plan IGNORE NULLS) OVER so_far AS plan
    FROM numbered($instants::TIMESTAMP[]) AS instants
    LEFT JOIN by_instant USING (number)
    WINDOW so_far AS (ORDER BY instants.number)
)

SELECT
    run.id AS latest_worker_run_id,
    run.at AS latest_worker_run_at,
    run.is_schedule_enabled,
    plan.id AS latest_retry_plan_id,
    plan.at AS latest_retry_plan_at
FROM newest
ORDER BY number
