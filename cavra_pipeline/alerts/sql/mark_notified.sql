UPDATE alerts SET last_notified_at = $now WHERE list_contains($alert_ids, alert_id)
