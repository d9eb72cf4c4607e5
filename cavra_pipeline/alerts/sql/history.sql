SELECT happened_at, kind, subject, episode, event, detail, actor, alert_id
FROM alert_history
WHERE alert_id = coalesce($alert_id::VARCHAR, alert_id) AND kind = coalesce($kind::VARCHAR, kind)
ORDER BY event_number DESC
LIMIT $most
