-- Whether any record of a lane is there (contract section 7); pruned ones count.
SELECT
    EXISTS (SELECT 1 FROM evidence WHERE lane = $lane)
    OR EXISTS (SELECT 1 FROM pruned_lanes WHERE lane = $lane AND evidence_record_count > 0) AS is_in_use
