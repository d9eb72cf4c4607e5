-- Segments (docs/proof.md) of what goes, and of other versions of it.
CREATE OR REPLACE TEMP TABLE changed_segments AS
SELECT DISTINCT coalesce(lane, '') AS lane, created_at::DATE AS segment_day
FROM evidence_records
WHERE session_id IN (SELECT session_id FROM duplicated_ids)
