-- Days whose alert about secrets a person had acknowledged.
SELECT subject::DATE AS drop_day, max(acknowledged_at) AS handled_at
FROM alerts
WHERE kind = 'secret_finding' AND acknowledged_at IS NOT NULL
GROUP BY subject
ORDER BY drop_day
