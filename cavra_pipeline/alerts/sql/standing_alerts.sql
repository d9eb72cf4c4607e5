-- Open alerts, those of groups that a connector still believes open, and what may explain an open one.
SELECT *
FROM alerts
WHERE
    state <> 'resolved'
    OR opened_at >= $began_at::TIMESTAMP
    OR (list_contains($inhibitors, kind)
        AND resolved_at >= (SELECT min(since) FROM alerts WHERE state <> 'resolved'))
ORDER BY opened_at, alert_id
