-- How each recovery stands at each of its providers, at each instant at which it is open: notice, answer and newest
-- live retry.
WITH planned AS (
    SELECT DISTINCT
        open_recoveries.number,
        open_recoveries.subject,
        provider_name(unnest(plans.selected_providers)) AS provider
    FROM escalation_plans AS plans
    INNER JOIN open_recoveries ON open_recoveries.subject = coalesce(nullif(plans.plan_id, ''), plans.session_id)
    WHERE plans.created_at <= open_recoveries.as_of AND plans.escalation_count IS DISTINCT FROM 0
),

sent AS (
    SELECT open_recoveries.number, subject, provider, outcome.created_at, outcome.session_id, outcome.is_failed
    FROM delivery_outcomes AS outcome
    INNER JOIN open_recoveries USING (subject)
    WHERE outcome.lane = $lane AND outcome.created_at <= open_recoveries.as_of
),

outcomes AS (
    SELECT number, subject, provider, max(created_at) FILTER (NOT is_failed) AS delivered_at
    FROM sent
    GROUP BY number, subject, provider
),

answers AS (
    SELECT
        open_recoveries.number,
        subject,
        provider,
        last(acknowledgement_state ORDER BY created_at, session_id) AS acknowledgement_state,
        max(created_at) AS acknowledged_at
    FROM acknowledgements
    INNER JOIN open_recoveries USING (subject)
    WHERE lane = $lane AND created_at <= open_recoveries.as_of
    GROUP BY ALL
),

retries AS (
    SELECT
        open_recoveries.number,
        subject,
        provider,
        last(execution_status ORDER BY created_at, session_id) AS execution_status,
        max({'at': created_at, 'id': session_id}) AS stamp
    FROM executions
    INNER JOIN open_recoveries USING (subject)
    WHERE lane = $lane AND created_at <= open_recoveries.as_of
    GROUP BY ALL
),

delivered_later AS (
    SELECT DISTINCT retries.number, retries.subject, retries.provider
    FROM retries
    INNER JOIN sent USING (number, subject, provider)
    WHERE NOT sent.is_failed AND {'at': sent.created_at, 'id': sent.session_id} > retries.stamp
),

pairs AS (
    SELECT number, subject, provider FROM planned
    UNION
    SELECT number, subject, provider FROM outcomes
    UNION
    SELECT number, subject, provider FROM answers
    UNION
    SELECT number, subject, provider FROM retries
)

SELECT
    pairs.number,
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
    coalesce(retries.execution_status <> 'delivered', false)
    AND delivered_later.subject IS NULL
    AND NOT coalesce(list_contains($closing::VARCHAR[], answers.acknowledgement_state), false) AS is_execution_failed
FROM pairs
LEFT JOIN outcomes USING (number, subject, provider)
LEFT JOIN answers USING (number, subject, provider)
LEFT JOIN retries USING (number, subject, provider)
LEFT JOIN delivered_later USING (number, subject, provider)
LEFT JOIN failing_states($lane, $instants::TIMESTAMP[]) AS failing
    ON failing.subject = pairs.subject AND failing.provider = pairs.provider
    AND failing.first_seen <= pairs.number AND failing.last_seen >= pairs.number
WHERE pairs.provider <> ''
ORDER BY pairs.number, pairs.subject, pairs.provider
