-- How many records and deliveries of a lane retention has removed.
SELECT
    coalesce(sum(evidence_record_count), 0)::BIGINT AS record_count,
    coalesce(sum(delivery_count), 0)::BIGINT AS delivery_count
FROM pruned_lanes
WHERE lane = $lane
