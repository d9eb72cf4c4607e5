-- When a live retry of a lane first failed or was skipped.
SELECT min(created_at) AS failed_at
FROM evidence
WHERE record_type = 'execution' AND lane = $lane AND status IN ('failed', 'skipped') AND created_at <= $until
