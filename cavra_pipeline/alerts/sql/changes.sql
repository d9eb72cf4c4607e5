-- How often each alert began or ended lately.
SELECT a.kind, a.subject, count(*) AS changes, min(e.happened_at) AS first_at
FROM alert_events AS e
INNER JOIN alerts AS a USING (alert_id)
WHERE e.event IN ('opened', 'resolved') AND e.happened_at > $after AND a.kind <> 'flapping'
GROUP BY a.kind, a.subject
HAVING count(*) >= $least OR list_contains($flapping::VARCHAR[], a.kind || ' ' || a.subject)
ORDER BY a.kind, a.subject
