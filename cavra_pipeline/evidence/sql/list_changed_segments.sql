-- Segments (docs/proof.md) of records that came or went, and of other versions of their ids.
CREATE OR REPLACE TEMP TABLE changed_segments AS
SELECT coalesce(lane, '') AS lane, created_at::DATE AS segment_day FROM replaced
UNION
SELECT coalesce(lane, ''), created_at::DATE
FROM evidence_records
SEMI JOIN (SELECT drop_day, file_name FROM staged_drops WHERE error IS NULL) AS staged USING (drop_day, file_name)
UNION
SELECT coalesce(lane, ''), created_at::DATE FROM evidence_records WHERE session_key IN (SELECT session_key FROM duplicated_ids)
