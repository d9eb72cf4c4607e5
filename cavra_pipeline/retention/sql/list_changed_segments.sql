-- Segments (docs/proof.md) of what goes, and of other versions of it.
CREATE OR REPLACE TEMP TABLE changed_segments AS
SELECT DISTINCT coalesce(lane, '') AS lane, created_at::DATE AS segment_day
FROM evidence_records
WHERE session_key IN (SELECT session_key FROM duplicated_ids)
