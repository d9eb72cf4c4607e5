SELECT DISTINCT coalesce(metadata_kind, '') AS metadata_kind
FROM evidence_records
SEMI JOIN given_segments AS given
    ON coalesce(evidence_records.lane, '') = given.lane AND evidence_records.created_at::DATE = given.segment_day
WHERE is_current
ORDER BY metadata_kind
