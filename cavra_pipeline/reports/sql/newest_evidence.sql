-- How much evidence there is at an instant, its newest record, and the oldest of all.
SELECT
    count(*) FILTER (created_at <= $as_of) AS record_count,
    max(created_at) FILTER (created_at <= $as_of) AS newest_record_at,
    min(created_at) AS oldest_record_at
FROM evidence
