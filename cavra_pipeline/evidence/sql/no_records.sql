SELECT * EXCLUDE (is_current) FROM evidence_records LIMIT 0
