-- Leaf hashes of the current records of one kind in the given segments, each with its place. The bounds keep what other
-- days hold from being read.
SELECT
    staged.lane, staged.segment_day, record.created_at, record.session_id,
    unhex(sha256(chr(0) || {{text}})) AS leaf
FROM evidence_records AS record
INNER JOIN staged_segments AS staged
    ON coalesce(record.lane, '') = staged.lane AND record.created_at::DATE = staged.segment_day
WHERE
    record.is_current AND record.created_at >= $first_day::DATE AND record.created_at < $last_day::DATE + 1
    AND {{of_kind}}
