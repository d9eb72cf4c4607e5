-- What the records that go add to the counts of their lane; superseded versions add nothing.
SELECT
    lane,
    max(created_at) AS latest_record_at,
    count(*) FILTER (record_type = 'delivery') AS delivery_count,
    {{lane_counts}}
FROM (
    SELECT *, status_of_execution(record_type, execution_status, delivery_success) AS status
    FROM evidence_records
    WHERE is_current AND lane IS NOT NULL AND rowid IN (SELECT row_id FROM removable)
)
GROUP BY lane
ORDER BY lane
