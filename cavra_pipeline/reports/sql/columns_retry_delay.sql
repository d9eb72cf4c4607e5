-- The delay after so many failures, in microseconds; it saturates before a power could overflow (contract section 6).
    round(60000000 * CASE
        WHEN $base_minutes = 0 THEN 0
        WHEN (retry_count - 1) * ln($multiplier) > 600 THEN $max_minutes
        ELSE least($max_minutes, $base_minutes * pow($multiplier, retry_count - 1))
    END)::BIGINT
