SELECT * FROM alerts WHERE starts_with(alert_id, $start) ORDER BY alert_id LIMIT 2
