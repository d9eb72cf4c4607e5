-- Mirror of the state database: what pruned records add to the counts of each lane.
CREATE TABLE pruned_lanes (
    pruning_number BIGINT NOT NULL,
    lane VARCHAR NOT NULL,
    latest_record_at TIMESTAMP NOT NULL,
    delivery_count BIGINT NOT NULL,
    health_report_count BIGINT NOT NULL,
    health_alert_count BIGINT NOT NULL,
    retry_plan_count BIGINT NOT NULL,
    retryable_count BIGINT NOT NULL,
    dry_worker_run_count BIGINT NOT NULL,
    live_worker_run_count BIGINT NOT NULL,
    delivered_execution_count BIGINT NOT NULL,
    failed_execution_count BIGINT NOT NULL,
    skipped_execution_count BIGINT NOT NULL,
    evidence_record_count BIGINT NOT NULL
)
