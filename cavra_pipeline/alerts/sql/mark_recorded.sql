UPDATE alert_outbox SET is_recorded = true WHERE list_contains($plan_ids, plan_id)
