CREATE OR REPLACE VIEW worker_runs AS
SELECT
    session_id, created_at, lane, run_id, dry_run IS DISTINCT FROM false AS is_dry_run, retryable_count,
    selected_retry_count, schedule_enabled, schedule_interval_minutes, schedule_window_start, schedule_window_end,
    acknowledgement_pending_count, waiting_retry_count, suppressed_retry_count, signer, drop_day
FROM evidence
WHERE record_type = 'worker_run'
