-- Subjects that are not over at the horizon: a pair's newest delivery failed, or its newest execution did and nothing
-- was delivered since. Every later answer about them needs their whole history.
CREATE OR REPLACE TEMP TABLE open_subjects AS
WITH seen AS (
    SELECT record_type, lane, subject, provider, created_at, session_id, outcomes, execution_status
    FROM watched_records
    WHERE created_at < $horizon
),

outcomes AS (
    SELECT lane, subject, created_at, session_id, unnest(outcomes, max_depth := 2)
    FROM seen
    WHERE record_type = 'delivery'
),

turns AS (
    SELECT 'delivery' AS ladder, lane, subject, provider, created_at, session_id, is_failed AS is_open FROM outcomes
    UNION ALL
    SELECT 'execution', lane, subject, provider, created_at, session_id, false FROM outcomes WHERE NOT is_failed
    UNION ALL
    SELECT 'execution', lane, subject, provider, created_at, session_id, execution_status <> 'delivered'
    FROM seen
    WHERE record_type = 'execution'
),

pairs AS (
    SELECT lane, coalesce(subject, '') AS subject, last(is_open ORDER BY created_at, session_id) AS is_open
    FROM turns
    GROUP BY ladder, lane, coalesce(subject, ''), coalesce(provider, '')
)

SELECT DISTINCT lane, subject FROM pairs WHERE is_open
