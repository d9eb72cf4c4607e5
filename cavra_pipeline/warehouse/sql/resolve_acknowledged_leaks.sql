UPDATE alerts SET state = 'resolved', resolved_at = acknowledged_at
WHERE kind = 'secret_finding' AND state = 'acknowledged'
