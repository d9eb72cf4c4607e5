CREATE OR REPLACE VIEW alert_history AS
SELECT
    e.event_number, e.happened_at, a.kind, a.subject, a.episode, e.event, e.detail, e.actor, a.alert_id
FROM alert_events AS e
INNER JOIN alerts AS a USING (alert_id)
