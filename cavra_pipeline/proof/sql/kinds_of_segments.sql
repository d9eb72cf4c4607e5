SELECT DISTINCT coalesce(metadata_kind, '') AS metadata_kind
FROM evidence_records
SEMI JOIN given_segments AS given
    ON coalesce(evidence_records.lane, '') = given.lane AND evidence_records.created_at::DATE = given.segment_day
WHERE is_current AND created_at >= $first_day::DATE AND created_at < $last_day::DATE + 1
ORDER BY metadata_kind
