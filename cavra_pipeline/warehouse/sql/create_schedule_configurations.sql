-- How each schedule was set, and since when; slots refer to it, so nothing of it is ever deleted.
CREATE TABLE schedule_configurations (
    schedule VARCHAR NOT NULL,
    valid_from TIMESTAMP NOT NULL,
    cron VARCHAR NOT NULL,
    time_zone VARCHAR NOT NULL,
    is_declared_on BOOLEAN NOT NULL,
    grace_minutes DOUBLE NOT NULL,
    grace_percent DOUBLE NOT NULL,
    early_percent DOUBLE NOT NULL,
    PRIMARY KEY (schedule, valid_from)
)
