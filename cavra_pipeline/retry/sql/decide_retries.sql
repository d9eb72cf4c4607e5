-- One decision for each failing pair (contract section 6). The delay saturates before a power could overflow.
WITH delayed AS (
    SELECT
        *,
        round(60000000 * CASE
            WHEN $base_minutes = 0 THEN 0
            WHEN (retry_count - 1) * ln($multiplier) > 600 THEN $max_minutes
            ELSE least($max_minutes, $base_minutes * pow($multiplier, retry_count - 1))
        END)::BIGINT AS delay_microseconds
    FROM failing_pairs($lane, $as_of::TIMESTAMP)
),

decided AS (
    SELECT
        *,
        latest_at + to_microseconds(delay_microseconds) AS due_at,
        CASE
            WHEN retry_count >= $max_attempts THEN 'max_retry_attempts_reached'
            WHEN list_contains($non_retryable::BIGINT[], latest_status_code) THEN 'non_retryable_status_code'
            WHEN $as_of::TIMESTAMP < latest_at + to_microseconds(delay_microseconds) THEN 'retry_delay_not_elapsed'
            ELSE 'retry_delay_elapsed'
        END AS reason
    FROM delayed
)

SELECT
    subject,
    executive_report_id,
    provider,
    CASE reason
        WHEN 'retry_delay_elapsed' THEN 'retry'
        WHEN 'retry_delay_not_elapsed' THEN 'wait'
        ELSE 'suppress'
    END AS action,
    reason,
    retry_count,
    delay_microseconds // 60000000 AS retry_delay_minutes,
    first_delivery_id,
    latest_delivery_id,
    latest_at AS latest_delivery_at,
    CASE WHEN reason LIKE 'retry_delay%' THEN due_at END AS next_retry_at,
    failed_status_codes
FROM decided
ORDER BY subject, provider
