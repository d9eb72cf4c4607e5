-- How each of these recoveries stands at each of its providers: notice, answer and newest live retry.
WITH plans AS (
    SELECT
        coalesce(nullif(plan_id, ''), session_id) AS subject,
        replace(lower(trim(unnest(selected_providers), E' \t\r\n')), '-', '_') AS provider
    FROM escalation_plans
    WHERE created_at <= $as_of AND escalation_count IS DISTINCT FROM 0
),

outcomes AS (
    SELECT
        subject,
        provider,
        max(created_at) FILTER (NOT is_failed) AS delivered_at
    FROM delivery_outcomes
    WHERE lane = $lane AND created_at <= $as_of AND list_contains($subjects::VARCHAR[], subject)
    GROUP BY subject, provider
),

answers AS (
    SELECT
        subject,
        provider,
        last(acknowledgement_state ORDER BY created_at, session_id) AS acknowledgement_state,
        max(created_at) AS acknowledged_at
    FROM acknowledgements
    WHERE lane = $lane AND created_at <= $as_of AND list_contains($subjects::VARCHAR[], subject)
    GROUP BY subject, provider
),

retries AS (
    SELECT
        subject,
        provider,
        last(
            coalesce(execution_status, CASE WHEN delivery_success THEN 'delivered' ELSE 'failed' END)
            ORDER BY created_at, session_id
        ) AS execution_status,
        max({'at': created_at, 'id': session_id}) AS stamp
    FROM executions
    WHERE lane = $lane AND created_at <= $as_of AND list_contains($subjects::VARCHAR[], subject)
    GROUP BY subject, provider
),

delivered_later AS (
    SELECT DISTINCT retries.subject, retries.provider
    FROM retries
    INNER JOIN delivery_outcomes AS outcome USING (subject, provider)
    WHERE
        outcome.lane = $lane AND outcome.created_at <= $as_of AND NOT outcome.is_failed
        AND {'at': outcome.created_at, 'id': outcome.session_id} > retries.stamp
),

pairs AS (
    SELECT subject, provider FROM plans WHERE list_contains($subjects::VARCHAR[], subject)
    UNION
    SELECT subject, provider FROM outcomes
    UNION
    SELECT subject, provider FROM answers
    UNION
    SELECT subject, provider FROM retries
)

SELECT
    pairs.subject,
    pairs.provider,
    outcomes.delivered_at,
    answers.acknowledgement_state,
    answers.acknowledged_at,
    coalesce(failing.retry_count, 0) AS failure_count,
    failing.failing_since,
    failing.latest_status_code AS failed_status_code,
    retries.execution_status,
    retries.stamp.at AS executed_at,
    coalesce(retries.execution_status IN ('failed', 'skipped'), false)
    AND delivered_later.subject IS NULL
    AND NOT coalesce(list_contains($closing::VARCHAR[], answers.acknowledgement_state), false) AS is_execution_failed
FROM pairs
LEFT JOIN outcomes USING (subject, provider)
LEFT JOIN answers USING (subject, provider)
LEFT JOIN retries USING (subject, provider)
LEFT JOIN delivered_later USING (subject, provider)
LEFT JOIN failing_pairs($lane, $as_of::TIMESTAMP) AS failing USING (subject, provider)
WHERE pairs.provider <> ''
ORDER BY pairs.subject, pairs.provider
