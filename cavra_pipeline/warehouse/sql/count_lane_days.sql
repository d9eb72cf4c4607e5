-- The current records of the segments in changed_segments, between their first day and their last.
INSERT INTO lane_days BY NAME
SELECT lane, segment_day, record_type, count(*) AS record_count
FROM (
    SELECT lane, created_at::DATE AS segment_day, record_type
    FROM evidence_records
    WHERE
        is_current AND lane IS NOT NULL
        AND created_at >= $first_day::TIMESTAMP AND created_at < $last_day::TIMESTAMP + INTERVAL 1 DAY
)
SEMI JOIN changed_segments USING (lane, segment_day)
GROUP BY ALL
