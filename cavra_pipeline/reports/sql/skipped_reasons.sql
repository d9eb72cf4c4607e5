-- Executions that were skipped in the window of each instant, by the reason that they give.
SELECT windows.number, coalesce(nullif(skip_reason, ''), 'other') AS reason, count(*) AS skipped_count
FROM evidence
INNER JOIN (
    SELECT instants.number, instants.as_of, starts.as_of AS window_start
    FROM numbered($instants::TIMESTAMP[]) AS instants
    INNER JOIN numbered($window_starts::TIMESTAMP[]) AS starts USING (number)
) AS windows ON evidence.created_at > windows.window_start AND evidence.created_at <= windows.as_of
WHERE evidence.lane = $lane AND evidence.record_type = 'execution' AND evidence.status = 'skipped'
GROUP BY windows.number, reason
ORDER BY windows.number, reason
