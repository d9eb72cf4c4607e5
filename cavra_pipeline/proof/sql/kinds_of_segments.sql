SELECT DISTINCT coalesce(metadata_kind, '') AS metadata_kind
FROM evidence_records
SEMI JOIN staged_segments AS staged
    ON coalesce(evidence_records.lane, '') = staged.lane AND evidence_records.created_at::DATE = staged.segment_day
WHERE is_current AND created_at >= $first_day::DATE AND created_at < $last_day::DATE + 1
ORDER BY metadata_kind
