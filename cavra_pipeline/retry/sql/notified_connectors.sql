-- Connectors through which a health alert of a lane, as severe as one of the levels, arrived after an instant.
SELECT DISTINCT arrived.provider
FROM delivery_outcomes AS arrived
INNER JOIN evidence AS planned ON planned.lane = arrived.lane AND planned.health_id = arrived.subject
WHERE
    arrived.lane = $lane AND NOT arrived.is_failed AND planned.record_type = 'alert_plan'
    AND arrived.created_at > $after::TIMESTAMP AND arrived.created_at <= $as_of::TIMESTAMP
    AND list_contains($levels::VARCHAR[], planned.alert_level)
ORDER BY arrived.provider
