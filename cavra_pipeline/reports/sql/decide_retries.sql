-- The decisions on each failing pair (contract section 6) and the instants at which each holds, first_seen to last_seen.
WITH delayed AS (
    SELECT
        *,
        {{delay}} AS delay_microseconds,
        latest_at + to_microseconds(delay_microseconds) AS due_at,
        CASE
            WHEN retry_count >= $max_attempts THEN 'max_retry_attempts_reached'
            WHEN list_contains($non_retryable::BIGINT[], latest_status_code) THEN 'non_retryable_status_code'
        END AS refusal
    FROM failing_states($lane, $instants::TIMESTAMP[])
),

timed AS (
    SELECT delayed.*, coalesce(due.number, len($instants::TIMESTAMP[]) + 1) AS first_due
    FROM delayed
    ASOF LEFT JOIN numbered($instants::TIMESTAMP[]) AS due ON delayed.due_at <= due.as_of
),

decided AS (
    SELECT * EXCLUDE (first_seen, last_seen), 'suppress' AS action, refusal AS reason, first_seen, last_seen
    FROM timed
    WHERE refusal IS NOT NULL
    UNION ALL BY NAME
    SELECT
        * EXCLUDE (first_seen, last_seen), 'wait' AS action, 'retry_delay_not_elapsed' AS reason,
        first_seen, least(last_seen, first_due - 1) AS last_seen
    FROM timed
    WHERE refusal IS NULL
    UNION ALL BY NAME
    SELECT
        * EXCLUDE (first_seen, last_seen), 'retry' AS action, 'retry_delay_elapsed' AS reason,
        greatest(first_seen, first_due) AS first_seen, last_seen
    FROM timed
    WHERE refusal IS NULL
)

SELECT
    first_seen,
    last_seen,
    subject,
    executive_report_id,
    audit_id,
    failing_since,
    provider,
    action,
    reason,
    retry_count,
    delay_microseconds // 60000000 AS retry_delay_minutes,
    first_delivery_id,
    latest_delivery_id,
    latest_at AS latest_delivery_at,
    CASE WHEN refusal IS NULL THEN due_at END AS next_retry_at,
    failed_status_codes
FROM decided
WHERE first_seen <= last_seen
ORDER BY subject, provider, first_seen
