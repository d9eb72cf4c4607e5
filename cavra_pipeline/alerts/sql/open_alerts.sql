SELECT * FROM open_alerts ORDER BY severity, since, alert_id
