-- Executions that were skipped in the window of each instant, by the reason that they give.
SELECT asked.number, coalesce(nullif(skip_reason, ''), 'other') AS reason, count(*) AS skipped_count
FROM evidence
INNER JOIN (
    SELECT instants.number, instants.as_of, starts.as_of AS window_start
    FROM asked($instants::TIMESTAMP[]) AS instants
    INNER JOIN asked($window_starts::TIMESTAMP[]) AS starts USING (number)
) AS asked ON evidence.created_at > asked.window_start AND evidence.created_at <= asked.as_of
WHERE evidence.lane = $lane AND evidence.record_type = 'execution' AND evidence.status = 'skipped'
GROUP BY asked.number, reason
ORDER BY asked.number, reason
