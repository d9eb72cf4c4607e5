-- What happened to each episode: opened, cause, severity, acknowledged, resolved, notified.
CREATE TABLE alert_events (
    event_number BIGINT NOT NULL DEFAULT nextval('alert_event_numbers'),
    alert_id VARCHAR NOT NULL,
    event VARCHAR NOT NULL,
    happened_at TIMESTAMP NOT NULL,
    detail VARCHAR,
    actor VARCHAR
)
