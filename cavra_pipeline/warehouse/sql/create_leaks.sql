-- Each secret that was found, once, however often its line is ingested. An alert is open until a person handles it.
-- A leak_id is a digest of line, rule and path; without the line's digest, of the place where it stood.
CREATE TABLE leaks (
    leak_number BIGINT NOT NULL,
    leak_id VARCHAR NOT NULL,
    drop_day DATE NOT NULL,
    rule VARCHAR NOT NULL,
    found_at TIMESTAMP NOT NULL,
    handled_at TIMESTAMP
)
