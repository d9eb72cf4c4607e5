-- Providers that the newest alert plan of each health report requires and that are unacknowledged, at each instant.
-- arg_max passes over null; the newest counts also where it says nothing.
WITH required AS (
    SELECT
        instants.number,
        plan.health_id,
        arg_max(coalesce(plan.acknowledgement_required_providers, []), {'at': plan.created_at, 'id': plan.session_id}) AS providers
    FROM evidence AS plan
    INNER JOIN numbered($instants::TIMESTAMP[]) AS instants ON plan.created_at <= instants.as_of
    WHERE plan.metadata_kind = $plan_kind AND plan.health_id <> ''
    GROUP BY instants.number, plan.health_id
),

pairs AS (
    SELECT DISTINCT number, health_id, provider_name(provider) AS provider
    FROM (SELECT number, health_id, unnest(providers) AS provider FROM required)
    WHERE provider_name(provider) <> ''
),

answered AS (
    SELECT
        instants.number,
        answer.health_id,
        provider_name(answer.provider) AS provider,
        arg_max(coalesce(answer.acknowledgement_state, ''), {'at': answer.created_at, 'id': answer.session_id}) AS state
    FROM evidence AS answer
    INNER JOIN numbered($instants::TIMESTAMP[]) AS instants ON answer.created_at <= instants.as_of
    WHERE answer.metadata_kind = $acknowledgement_kind
    GROUP BY instants.number, answer.health_id, provider_name(answer.provider)
)

SELECT pairs.number, pairs.health_id, pairs.provider, nullif(answered.state, '') AS acknowledgement_state
FROM pairs
LEFT JOIN answered USING (number, health_id, provider)
WHERE NOT coalesce(list_contains($answering::VARCHAR[], answered.state), false)
ORDER BY pairs.number, pairs.health_id, pairs.provider
