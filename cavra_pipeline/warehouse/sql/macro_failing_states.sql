-- How each (subject, provider) pair of a lane is failing at the instants, which ascend: one row for each newest failure
-- and the instants, first_seen to last_seen, that see it so. A pair's failures are the unbroken run of failed deliveries
-- at its end, in order of (created_at, session_id) (contract section 6).
CREATE OR REPLACE MACRO failing_states(lane_name, instants) AS TABLE
WITH sent AS NOT MATERIALIZED (
    SELECT subject, created_at, session_id, executive_report_id, outcomes, is_failed
    FROM watched_records
    WHERE lane = lane_name AND record_type = 'delivery' AND created_at <= list_max(instants) AND subject IS NOT NULL
),

histories AS (
    SELECT subject, created_at, session_id, executive_report_id, unnest(outcomes) AS outcome
    FROM sent
    WHERE subject IN (SELECT subject FROM sent WHERE is_failed)
),

in_order AS (
    SELECT
        * EXCLUDE (outcome),
        outcome.provider AS provider,
        outcome.is_failed AS is_failed,
        outcome.status_code AS status_code,
        lead(created_at) OVER history AS next_at,
        count(*) FILTER (NOT outcome.is_failed) OVER history AS success_count
    FROM histories
    WINDOW history AS (PARTITION BY subject, outcome.provider ORDER BY created_at, session_id)
),

failures AS (
    SELECT
        *,
        row_number() OVER run AS retry_count,
        first_value(created_at) OVER run AS failing_since,
        first_value(session_id) OVER run AS first_delivery_id,
        list(status_code) OVER run AS status_codes
    FROM in_order
    WHERE is_failed
    WINDOW run AS (PARTITION BY subject, provider, success_count ORDER BY created_at, session_id)
),

placed AS (
    SELECT
        failures.*,
        opening.number AS first_seen,
        coalesce(closing.number, len(instants) + 1) - 1 AS last_seen
    FROM failures
    ASOF JOIN asked(instants) AS opening ON failures.created_at <= opening.as_of
    ASOF LEFT JOIN asked(instants) AS closing
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
    list_sort(list_distinct(status_codes)) AS failed_status_codes
FROM placed
WHERE first_seen <= last_seen
