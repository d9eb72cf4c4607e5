-- The providers at which deliveries of a lane are failing at each instant, with the newest answer of each, and the newest
-- success of the provider in any lane.
WITH successes AS (
    SELECT outcome.provider, opening.number, max(outcome.created_at) AS success_at
    FROM delivery_outcomes AS outcome
    ASOF JOIN numbered($instants::TIMESTAMP[]) AS opening ON outcome.created_at <= opening.as_of
    WHERE NOT outcome.is_failed AND outcome.lane IS NOT NULL
    GROUP BY ALL
),

failing AS (
    SELECT instants.number, states.*
    FROM failing_states($lane, $instants::TIMESTAMP[]) AS states
    INNER JOIN numbered($instants::TIMESTAMP[]) AS instants
        ON instants.number >= states.first_seen AND instants.number <= states.last_seen
)

SELECT
    failing.number,
    failing.provider,
    count(*) AS failing_count,
    min(failing.failing_since) AS failing_since,
    max(failing.retry_count) AS most_failures,
    last(failing.latest_status_code ORDER BY failing.latest_at, failing.latest_delivery_id) AS status_code,
    max(failing.latest_at) AS latest_at,
    max(successes.success_at) AS success_at,
    count(*) FILTER (successes.success_at IS NULL OR failing.latest_at > successes.success_at)
        AS failing_since_success_count
FROM failing
-- Later instants see later successes.
ASOF LEFT JOIN successes ON failing.provider = successes.provider AND failing.number >= successes.number
GROUP BY failing.number, failing.provider
ORDER BY failing.number, failing.provider
