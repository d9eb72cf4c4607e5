-- How many failures of a lane's recent days, by provider and by which failure of its pair each was, were followed by a
-- success. Too few of them say nothing.
WITH tries AS (
    SELECT
        provider,
        created_at,
        is_failed,
        row_number() OVER history AS retry_count,
        count(*) FILTER (NOT is_failed) OVER history AS success_count,
        coalesce(bool_or(NOT is_failed) OVER later, false) AS is_followed
    FROM attributed_outcomes($lane, $as_of::TIMESTAMP)
    WINDOW
        history AS (PARTITION BY subject, provider ORDER BY created_at, session_id),
        later AS (
            PARTITION BY subject, provider ORDER BY created_at, session_id
            ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING
        )
)

SELECT
    provider,
    retry_count,
    count(*) AS alike_failure_count,
    count(*) FILTER (is_followed) AS alike_delivered_count
FROM tries
WHERE is_failed AND success_count = 0 AND created_at > $as_of::TIMESTAMP - to_days($days::INTEGER)
GROUP BY provider, retry_count
HAVING count(*) >= $least
ORDER BY provider, retry_count
