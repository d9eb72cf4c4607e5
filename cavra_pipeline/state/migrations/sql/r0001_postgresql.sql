-- The first tables, as they were made on PostgreSQL. Frozen: a change is another revision.
CREATE TABLE alert_events (
    event_number BIGSERIAL NOT NULL,
    alert_id TEXT NOT NULL,
    event TEXT NOT NULL,
    happened_at TIMESTAMP WITH TIME ZONE NOT NULL,
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
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (notice_id)
);
CREATE INDEX alert_outbox_by_group ON alert_outbox (group_name, provider, notice_number);
CREATE INDEX alert_outbox_by_record ON alert_outbox (is_recorded);
CREATE TABLE alert_silences (
    silence_id TEXT NOT NULL,
    kind TEXT,
    subject TEXT,
    author TEXT NOT NULL,
    starts_at TIMESTAMP WITH TIME ZONE NOT NULL,
    ends_at TIMESTAMP WITH TIME ZONE NOT NULL,
    comment TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (silence_id)
);
CREATE TABLE alerts (
    alert_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    episode BIGINT NOT NULL,
    severity TEXT NOT NULL,
    state TEXT NOT NULL,
    since TIMESTAMP WITH TIME ZONE NOT NULL,
    opened_at TIMESTAMP WITH TIME ZONE NOT NULL,
    acknowledged_at TIMESTAMP WITH TIME ZONE,
    acknowledged_by TEXT,
    resolved_at TIMESTAMP WITH TIME ZONE,
    cause TEXT,
    causes TEXT NOT NULL,
    occurrence_count BIGINT NOT NULL,
    swallowed_count BIGINT NOT NULL,
    evidence TEXT NOT NULL,
    last_notified_at TIMESTAMP WITH TIME ZONE,
    muted_by TEXT,
    PRIMARY KEY (alert_id),
    CONSTRAINT alerts_by_episode UNIQUE (kind, subject, episode)
);
CREATE INDEX alerts_by_state ON alerts (state);
CREATE TABLE evidence_changes (
    change_number BIGINT NOT NULL,
    earliest TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (change_number)
);
CREATE TABLE ingested_files (
    drop_day DATE NOT NULL,
    file_name TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    ingested_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (drop_day, file_name)
);
CREATE TABLE leaks (
    leak_number BIGSERIAL NOT NULL,
    leak_id TEXT NOT NULL,
    drop_day DATE NOT NULL,
    rule TEXT NOT NULL,
    found_at TIMESTAMP WITH TIME ZONE NOT NULL,
    handled_at TIMESTAMP WITH TIME ZONE,
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
    horizon TIMESTAMP WITH TIME ZONE NOT NULL,
    pruned_at TIMESTAMP WITH TIME ZONE NOT NULL,
    record_count BIGINT NOT NULL,
    quarantined_count BIGINT NOT NULL,
    finding_count BIGINT NOT NULL,
    closed_drop_count BIGINT NOT NULL,
    closed_spell_count BIGINT NOT NULL,
    counts TEXT NOT NULL,
    PRIMARY KEY (pruning_number)
);
CREATE TABLE saved_reports (
    report TEXT COLLATE "C" NOT NULL,
    lane TEXT COLLATE "C" NOT NULL,
    report_day DATE NOT NULL,
    report_id TEXT COLLATE "C" NOT NULL,
    as_of TIMESTAMP WITH TIME ZONE NOT NULL,
    alert_level TEXT,
    evidence_record_count BIGINT NOT NULL,
    future_record_count BIGINT,
    generated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    change_number BIGINT NOT NULL,
    document BYTEA NOT NULL,
    PRIMARY KEY (report, lane, report_day, report_id)
);
CREATE INDEX saved_reports_by_day ON saved_reports (report_day);
CREATE INDEX saved_reports_by_id ON saved_reports (report_id);
CREATE TABLE schedule_configurations (
    schedule TEXT NOT NULL,
    valid_from TIMESTAMP WITH TIME ZONE NOT NULL,
    cron TEXT NOT NULL,
    time_zone TEXT NOT NULL,
    is_declared_on BOOLEAN NOT NULL,
    grace_minutes DOUBLE PRECISION NOT NULL,
    grace_percent DOUBLE PRECISION NOT NULL,
    early_percent DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (schedule, valid_from)
);
CREATE TABLE schedule_slots (
    schedule TEXT NOT NULL,
    expected_at TIMESTAMP WITH TIME ZONE NOT NULL,
    verdict TEXT NOT NULL,
    cause TEXT,
    done_at TIMESTAMP WITH TIME ZONE,
    run_id TEXT,
    closes_at TIMESTAMP WITH TIME ZONE NOT NULL,
    configuration_from TIMESTAMP WITH TIME ZONE NOT NULL,
    judged_at TIMESTAMP WITH TIME ZONE NOT NULL,
    revised_at TIMESTAMP WITH TIME ZONE,
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
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    claimed_at TIMESTAMP WITH TIME ZONE,
    due_at TIMESTAMP WITH TIME ZONE,
    completed_at TIMESTAMP WITH TIME ZONE,
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
    made_at TIMESTAMP WITH TIME ZONE NOT NULL,
    made_because TEXT NOT NULL,
    set_aside_as TEXT,
    PRIMARY KEY (warehouse_id)
);
