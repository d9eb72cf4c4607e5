-- From when to when CAVRA counts an alert as not acknowledged, for each provider that a plan requires: until it was ever
-- acknowledged or resolved, and, where only the newest plan of a health report counts, until the next plan.
WITH plans AS (
    SELECT
        coalesce(health_id, '') AS health_id,
        acknowledgement_required_providers AS providers,
        created_at,
        CASE WHEN $is_newest_only THEN lead(created_at) OVER (PARTITION BY health_id ORDER BY created_at, session_id) END
            AS replaced_at
    FROM evidence
    WHERE
        metadata_kind = $plan_kind AND created_at <= $until
        AND (NOT $is_newest_only OR coalesce(health_id, '') <> '')
),

required AS (
    SELECT health_id, created_at, replaced_at, provider_name(unnest(providers)) AS provider FROM plans
),

answered AS (
    SELECT coalesce(health_id, '') AS health_id, provider_name(provider) AS provider, min(created_at) AS answered_at
    FROM evidence
    WHERE
        metadata_kind = $acknowledgement_kind AND created_at <= $until
        AND list_contains($answering::VARCHAR[], acknowledgement_state)
    GROUP BY ALL
)

SELECT
    required.created_at AS started_at,
    least(required.replaced_at, answered.answered_at) AS ended_at
FROM required
LEFT JOIN answered USING (health_id, provider)
WHERE required.provider <> '' AND (answered.answered_at IS NULL OR answered.answered_at > required.created_at)
ORDER BY started_at, ended_at
