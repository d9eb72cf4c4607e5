CREATE OR REPLACE VIEW open_alerts AS
SELECT
    alert_id, kind, subject, episode, severity, state, since, opened_at, acknowledged_at, acknowledged_by, cause,
    causes, occurrence_count, swallowed_count, evidence, last_notified_at, muted_by
FROM alerts
WHERE state <> 'resolved'
