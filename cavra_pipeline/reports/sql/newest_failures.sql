-- For each provider ('' as scope) and each provider in a lane: since when its newest failures are of so many deliveries,
-- of different subjects where a retry has no subject of its own. A run of failures that is open holds an incident only if
-- no success is newer than that.
WITH failures AS (
    {{failures}}
),

scoped AS (
    SELECT *, '' AS scope FROM failures
    UNION ALL
    SELECT *, lane AS scope FROM failures
),

newest AS (
    SELECT provider, scope, max(created_at) AS newest_at
    FROM scoped
    WHERE part <> ''
    GROUP BY provider, scope, lane, part
)

SELECT provider, scope, newest_at AS since
FROM newest
QUALIFY row_number() OVER (PARTITION BY provider, scope ORDER BY newest_at DESC) = $least_subjects
ORDER BY provider, scope
