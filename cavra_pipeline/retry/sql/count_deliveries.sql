SELECT count(*) AS evidence_record_count FROM deliveries WHERE lane = $lane AND created_at <= $as_of
