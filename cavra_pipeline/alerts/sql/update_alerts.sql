UPDATE alerts
SET
    severity = g.severity, state = g.state, since = g.since, resolved_at = g.resolved_at, cause = g.cause,
    causes = g.causes::JSON, occurrence_count = g.occurrence_count, swallowed_count = g.swallowed_count,
    evidence = g.evidence::JSON, muted_by = g.muted_by
FROM given_alerts AS g
WHERE alerts.alert_id = g.alert_id
