-- Connectors that alert plans require and that were never acknowledged or resolved, newest plan first: as CAVRA counts
-- them, for which a later word takes nothing back.
WITH plans AS (
    SELECT
        session_id, created_at, coalesce(health_id, '') AS health_id, plan_id,
        acknowledgement_required_providers AS providers,
        row_number() OVER (PARTITION BY health_id ORDER BY created_at DESC, session_id DESC) AS age
    FROM evidence
    WHERE
        metadata_kind = $plan_kind AND created_at <= $as_of::TIMESTAMP
        AND ($every_plan::BOOLEAN OR coalesce(health_id, '') <> '')
),

required AS (
    SELECT DISTINCT session_id, created_at, health_id, plan_id, provider_name(provider) AS provider
    FROM (SELECT * EXCLUDE (providers), unnest(providers) AS provider FROM plans WHERE age = 1 OR $every_plan::BOOLEAN)
    WHERE provider_name(provider) <> ''
),

answered AS (
    SELECT DISTINCT coalesce(health_id, '') AS health_id, provider_name(provider) AS provider
    FROM evidence
    WHERE
        metadata_kind = $acknowledgement_kind AND created_at <= $as_of::TIMESTAMP
        AND list_contains($answering::VARCHAR[], acknowledgement_state)
)

SELECT health_id, provider, plan_id
FROM required
ANTI JOIN answered USING (health_id, provider)
ORDER BY created_at DESC, session_id DESC, provider
