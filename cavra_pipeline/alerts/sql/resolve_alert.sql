UPDATE alerts
SET
    state = 'resolved', resolved_at = $now,
    acknowledged_at = coalesce(acknowledged_at, $now::TIMESTAMP), acknowledged_by = coalesce(acknowledged_by, $label)
WHERE alert_id = $alert_id AND state <> 'resolved'
