-- The (subject, provider) pairs of a lane that are failing at an instant: the unbroken run of failed deliveries at
-- the end of each, in order of (created_at, session_id) (contract section 6).
CREATE OR REPLACE MACRO failing_pairs(lane_name, instant) AS TABLE
WITH ever_failed AS MATERIALIZED (
    -- Only a pair that failed at some time can be failing; most never did.
    SELECT DISTINCT subject, provider
    FROM delivery_outcomes
    WHERE lane = lane_name AND created_at <= instant AND subject IS NOT NULL AND is_failed
),

seen AS (
    SELECT subject, provider, created_at, session_id, is_failed, status_code, executive_report_id
    FROM delivery_outcomes
    SEMI JOIN ever_failed USING (subject, provider)
    WHERE lane = lane_name AND created_at <= instant
),

succeeded AS (
    SELECT subject, provider, max(created_at) AS succeeded_at
    FROM seen
    WHERE NOT is_failed
    GROUP BY subject, provider
),

since_success AS (
    SELECT seen.*, succeeded.succeeded_at
    FROM seen
    LEFT JOIN succeeded USING (subject, provider)
    WHERE succeeded.succeeded_at IS NULL OR seen.created_at >= succeeded.succeeded_at
),

last_success AS (
    SELECT subject, provider, max(session_id) AS session_id FROM since_success WHERE NOT is_failed GROUP BY ALL
),

failures AS (
    SELECT since_success.*
    FROM since_success
    LEFT JOIN last_success USING (subject, provider)
    WHERE
        since_success.is_failed
        AND (
            last_success.session_id IS NULL
            OR since_success.created_at > since_success.succeeded_at
            OR since_success.session_id > last_success.session_id
        )
)

SELECT
    subject,
    provider,
    count(*) AS retry_count,
    min(created_at) AS failing_since,
    max(created_at) AS latest_at,
    first(session_id ORDER BY created_at, session_id) AS first_delivery_id,
    last(session_id ORDER BY created_at, session_id) AS latest_delivery_id,
    last(status_code ORDER BY created_at, session_id) AS latest_status_code,
    last(executive_report_id ORDER BY created_at, session_id) AS executive_report_id,
    coalesce(list_sort(list(DISTINCT status_code) FILTER (status_code IS NOT NULL)), []) AS failed_status_codes
FROM failures
GROUP BY subject, provider
