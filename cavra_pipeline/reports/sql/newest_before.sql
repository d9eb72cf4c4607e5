-- The newest record of a type before the earliest window: from there on a history tells all that the instants ask.
SELECT created_at
FROM evidence
WHERE lane = $lane AND record_type = $record_type AND created_at <= list_min($window_starts::TIMESTAMP[])
ORDER BY created_at DESC
LIMIT 1
