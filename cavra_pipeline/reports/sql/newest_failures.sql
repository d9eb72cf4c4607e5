-- For each provider ('' as scope) and each provider in a lane: the instant of the last failure but so many. A run of
-- failures that is open can hold that many subjects only if no success is newer.
SELECT provider, scope, list_min(max(created_at, $least_subjects::BIGINT)) AS since
FROM (
    SELECT provider, created_at, unnest(['', lane]) AS scope FROM ({{failures}})
)
GROUP BY provider, scope
HAVING count(*) >= $least_subjects::BIGINT
ORDER BY provider, scope
