-- How each (subject, provider) pair of a lane is failing at the instants, which ascend: one row for each newest failure
-- and the instants, first_seen to last_seen, that see it so. A pair's failures are its deliveries in order of
-- (created_at, session_id) until one of them succeeds: then it is settled for good (contract section 6).
CREATE OR REPLACE MACRO failing_states(lane_name, instants, watched := 'watched_records') AS TABLE
WITH outcomes AS MATERIALIZED (
    FROM attributed_outcomes(lane_name, list_max(instants), settled_by := list_min(instants), watched := watched)
),

-- Pairs that were settled before the first instant are no longer failing at any.
unsettled AS (
    SELECT subject, provider
    FROM outcomes
    GROUP BY subject, provider
    HAVING NOT coalesce(bool_or(NOT is_failed AND created_at <= list_min(instants)), false)
),

in_order AS (
    SELECT
        *,
        lead(created_at) OVER history AS next_at,
        count(*) FILTER (NOT is_failed) OVER history AS success_count
    FROM outcomes
    SEMI JOIN unsettled USING (subject, provider)
    WINDOW history AS (PARTITION BY subject, provider ORDER BY created_at, session_id)
),

failures AS (
    SELECT
        *,
        row_number() OVER run AS retry_count,
        first_value(created_at) OVER run AS failing_since,
        first_value(session_id) OVER run AS first_delivery_id,
        list(status_code) OVER run AS status_codes
    FROM in_order
    WHERE success_count = 0
    WINDOW run AS (PARTITION BY subject, provider ORDER BY created_at, session_id)
),

placed AS (
    SELECT
        failures.*,
        opening.number AS first_seen,
        coalesce(closing.number, len(instants) + 1) - 1 AS last_seen
    FROM failures
    ASOF JOIN numbered(instants) AS opening ON failures.created_at <= opening.as_of
    ASOF LEFT JOIN numbered(instants) AS closing
        ON coalesce(failures.next_at, TIMESTAMP 'infinity') <= closing.as_of
)

SELECT
    first_seen,
    last_seen,
    subject,
    provider,
    retry_count,
    failing_since,
    created_at AS latest_at,
    first_delivery_id,
    session_id AS latest_delivery_id,
    status_code AS latest_status_code,
    executive_report_id,
    audit_id,
    list_sort(list_distinct(status_codes)) AS failed_status_codes
FROM placed
WHERE first_seen <= last_seen
