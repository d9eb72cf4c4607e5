UPDATE alerts
SET state = 'acknowledged', acknowledged_at = $now, acknowledged_by = $label
WHERE alert_id = $alert_id AND state = 'firing'
