-- How many records and deliveries of each lane retention has removed, and when the newest of them was created.
SELECT
    lane,
    sum(evidence_record_count)::BIGINT AS record_count,
    sum(delivery_count)::BIGINT AS delivery_count,
    max(latest_record_at) AS latest_record_at
FROM pruned_lanes
GROUP BY lane
HAVING record_count > 0
ORDER BY lane
