-- How much evidence there is at an instant, and its newest record.
SELECT count(*) AS record_count, max(created_at) AS newest_record_at
FROM evidence
WHERE created_at <= $as_of
