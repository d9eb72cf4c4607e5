-- The slot ledger: exactly one verdict for each instant at which a schedule should run.
CREATE TABLE schedule_slots (
    schedule VARCHAR NOT NULL,
    expected_at TIMESTAMP NOT NULL,
    verdict VARCHAR NOT NULL,
    cause VARCHAR,
    done_at TIMESTAMP,
    run_id VARCHAR,
    closes_at TIMESTAMP NOT NULL,
    configuration_from TIMESTAMP NOT NULL,
    judged_at TIMESTAMP NOT NULL,
    revised_at TIMESTAMP,
    PRIMARY KEY (schedule, expected_at)
)
