-- Who does not want to hear of which alerts, from when until when, and why. A null matches anything.
CREATE TABLE alert_silences (
    silence_id VARCHAR NOT NULL,
    kind VARCHAR,
    subject VARCHAR,
    author VARCHAR NOT NULL,
    starts_at TIMESTAMP NOT NULL,
    ends_at TIMESTAMP NOT NULL,
    comment VARCHAR NOT NULL,
    created_at TIMESTAMP NOT NULL
)
