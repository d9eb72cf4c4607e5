-- The first tables, as they were made on SQLite. Frozen: a change is another revision.
CREATE TABLE alert_events (
    event_number INTEGER NOT NULL,
    alert_id TEXT NOT NULL,
    event TEXT NOT NULL,
    happened_at VARCHAR(27) NOT NULL,
    detail TEXT,
    actor TEXT,
    PRIMARY KEY (event_number)
);
CREATE INDEX alert_events_by_alert ON alert_events (alert_id);
CREATE INDEX alert_events_by_time ON alert_events (happened_at);
CREATE TABLE alert_outbox (
    notice_id TEXT NOT NULL,
    plan_id TEXT NOT NULL,
    provider TEXT NOT NULL,
    group_name TEXT NOT NULL,
    notice_number BIGINT NOT NULL,
    notice TEXT NOT NULL,
    alert_level TEXT NOT NULL,
    lane TEXT NOT NULL,
    suppressed_providers TEXT NOT NULL,
    told TEXT NOT NULL,
    alert_ids TEXT NOT NULL,
    health_id TEXT,
    is_recorded BOOLEAN NOT NULL,
    created_at VARCHAR(27) NOT NULL,
    PRIMARY KEY (notice_id)
);
CREATE INDEX alert_outbox_by_group ON alert_outbox (group_name, provider, notice_number);
CREATE INDEX alert_outbox_by_record ON alert_outbox (is_recorded);
CREATE TABLE alert_silences (
    silence_id TEXT NOT NULL,
    kind TEXT,
    subject TEXT,
    author TEXT NOT NULL,
    starts_at VARCHAR(27) NOT NULL,
    ends_at VARCHAR(27) NOT NULL,
    comment TEXT NOT NULL,
    created_at VARCHAR(27) NOT NULL,
    PRIMARY KEY (silence_id)
);
CREATE TABLE alerts (
    alert_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    episode BIGINT NOT NULL,
    severity TEXT NOT NULL,
    state TEXT NOT NULL,
    since VARCHAR(27) NOT NULL,
    opened_at VARCHAR(27) NOT NULL,
    acknowledged_at VARCHAR(27),
    acknowledged_by TEXT,
    resolved_at VARCHAR(27),
    cause TEXT,
    causes TEXT NOT NULL,
    occurrence_count BIGINT NOT NULL,
    swallowed_count BIGINT NOT NULL,
    evidence TEXT NOT NULL,
    last_notified_at VARCHAR(27),
    muted_by TEXT,
    PRIMARY KEY (alert_id),
    CONSTRAINT alerts_by_episode UNIQUE (kind, subject, episode)
);
CREATE INDEX alerts_by_state ON alerts (state);
CREATE TABLE evidence_changes (
    change_number BIGINT NOT NULL,
    earliest VARCHAR(27) NOT NULL,
    PRIMARY KEY (change_number)
);
CREATE TABLE ingested_files (
    drop_day DATE NOT NULL,
    file_name TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    ingested_at VARCHAR(27) NOT NULL,
    PRIMARY KEY (drop_day, file_name)
);
CREATE TABLE leaks (
    leak_number INTEGER NOT NULL,
    leak_id TEXT NOT NULL,
    drop_day DATE NOT NULL,
    rule TEXT NOT NULL,
    found_at VARCHAR(27) NOT NULL,
    handled_at VARCHAR(27),
    PRIMARY KEY (leak_number),
    UNIQUE (leak_id)
);
CREATE TABLE leases (
    run_id TEXT NOT NULL,
    expires_ms BIGINT NOT NULL,
    PRIMARY KEY (run_id)
);
CREATE TABLE pruned_drops (
    pruning_number BIGINT NOT NULL,
    drop_day DATE NOT NULL,
    file_name TEXT NOT NULL,
    record_count BIGINT NOT NULL,
    quarantined_count BIGINT NOT NULL,
    finding_count BIGINT NOT NULL,
    remaining_lines TEXT NOT NULL,
    PRIMARY KEY (pruning_number, drop_day, file_name)
);
CREATE TABLE prunings (
    pruning_number BIGINT NOT NULL,
    horizon VARCHAR(27) NOT NULL,
    pruned_at VARCHAR(27) NOT NULL,
    record_count BIGINT NOT NULL,
    quarantined_count BIGINT NOT NULL,
    finding_count BIGINT NOT NULL,
    closed_drop_count BIGINT NOT NULL,
    closed_spell_count BIGINT NOT NULL,
    counts TEXT NOT NULL,
    PRIMARY KEY (pruning_number)
);
CREATE TABLE saved_reports (
    report TEXT NOT NULL,
    lane TEXT NOT NULL,
    report_day DATE NOT NULL,
    report_id TEXT NOT NULL,
    as_of VARCHAR(27) NOT NULL,
    alert_level TEXT,
    evidence_record_count BIGINT NOT NULL,
    future_record_count BIGINT,
    generated_at VARCHAR(27) NOT NULL,
    change_number BIGINT NOT NULL,
    document BLOB NOT NULL,
    PRIMARY KEY (report, lane, report_day, report_id)
);
CREATE INDEX saved_reports_by_day ON saved_reports (report_day);
CREATE INDEX saved_reports_by_id ON saved_reports (report_id);
CREATE TABLE schedule_configurations (
    schedule TEXT NOT NULL,
    valid_from VARCHAR(27) NOT NULL,
    cron TEXT NOT NULL,
    time_zone TEXT NOT NULL,
    is_declared_on BOOLEAN NOT NULL,
    grace_minutes DOUBLE NOT NULL,
    grace_percent DOUBLE NOT NULL,
    early_percent DOUBLE NOT NULL,
    PRIMARY KEY (schedule, valid_from)
);
CREATE TABLE schedule_slots (
    schedule TEXT NOT NULL,
    expected_at VARCHAR(27) NOT NULL,
    verdict TEXT NOT NULL,
    cause TEXT,
    done_at VARCHAR(27),
    run_id TEXT,
    closes_at VARCHAR(27) NOT NULL,
    configuration_from VARCHAR(27) NOT NULL,
    judged_at VARCHAR(27) NOT NULL,
    revised_at VARCHAR(27),
    PRIMARY KEY (schedule, expected_at)
);
CREATE INDEX schedule_slots_by_time ON schedule_slots (expected_at);
CREATE TABLE send_intents (
    intent_id TEXT NOT NULL,
    purpose TEXT NOT NULL,
    lane TEXT NOT NULL,
    subject TEXT NOT NULL,
    provider TEXT NOT NULL,
    answers TEXT,
    idempotency_id TEXT NOT NULL,
    message TEXT NOT NULL,
    context TEXT NOT NULL,
    state TEXT NOT NULL,
    run_id TEXT,
    claim_count BIGINT NOT NULL,
    created_at VARCHAR(27) NOT NULL,
    claimed_at VARCHAR(27),
    due_at VARCHAR(27),
    completed_at VARCHAR(27),
    reason TEXT,
    status_code BIGINT,
    outcome TEXT,
    PRIMARY KEY (intent_id)
);
CREATE INDEX send_intents_by_state ON send_intents (purpose, state);
CREATE INDEX send_intents_by_subject ON send_intents (lane, subject);
CREATE TABLE warehouses (
    warehouse_id TEXT NOT NULL,
    commit_number BIGINT NOT NULL,
    made_at VARCHAR(27) NOT NULL,
    made_because TEXT NOT NULL,
    set_aside_as TEXT,
    PRIMARY KEY (warehouse_id)
);
