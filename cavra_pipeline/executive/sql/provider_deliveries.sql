-- Deliveries by provider over all lanes, in the window of each instant; placed as in lane_activity.
WITH starts AS (
    SELECT as_of AS window_start, min(number) AS number FROM numbered($window_starts::TIMESTAMP[]) GROUP BY as_of
),

counted AS (
    SELECT
        outcome.provider,
        opening.number AS first_seen,
        coalesce(closing.number - 1, len($instants::TIMESTAMP[])) AS last_seen,
        count(*) FILTER (NOT outcome.is_failed) AS delivered_count,
        count(*) FILTER (outcome.is_failed) AS failed_count
    FROM delivery_outcomes AS outcome
    ASOF JOIN numbered($instants::TIMESTAMP[]) AS opening ON outcome.created_at <= opening.as_of
    ASOF LEFT JOIN starts AS closing ON outcome.created_at < closing.window_start
    WHERE outcome.created_at >= list_min($window_starts::TIMESTAMP[]) AND outcome.lane IS NOT NULL
    GROUP BY ALL
)

SELECT
    instants.number,
    counted.provider,
    sum(counted.delivered_count)::BIGINT AS delivered_count,
    sum(counted.failed_count)::BIGINT AS failed_count
FROM counted
INNER JOIN numbered($instants::TIMESTAMP[]) AS instants
    ON instants.number >= counted.first_seen AND instants.number <= counted.last_seen
GROUP BY instants.number, counted.provider
ORDER BY instants.number, counted.provider
