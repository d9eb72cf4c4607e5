CREATE OR REPLACE VIEW evidence AS
SELECT * EXCLUDE (is_current) FROM evidence_records WHERE is_current
