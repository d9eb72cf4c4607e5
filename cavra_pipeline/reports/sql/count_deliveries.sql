-- The lane's deliveries up to each instant. Pruned ones are before every instant.
SELECT
    seen_count + (SELECT coalesce(sum(delivery_count), 0)::BIGINT FROM pruned_lanes WHERE lane = $lane)
        AS evidence_record_count
FROM records_up_to($lane, $instants::TIMESTAMP[], 'delivery')
ORDER BY number
