SELECT
    count(*) FILTER (created_at <= $as_of) AS evidence_record_count,
    count(*) FILTER (created_at > $as_of) AS future_record_count
FROM evidence
WHERE lane = $lane
