-- is_failed: no outcome of another delivery failed; these two columns are cheaper to read than the outcomes.
-- is_watched: its subject's whole history is watched from it on. Where a retry has a subject of its own, all are.
CREATE OR REPLACE VIEW watchable_records AS
SELECT
    * EXCLUDE (has_new_subjects),
    is_failed OR has_new_subjects AS is_watched
FROM (
    SELECT
        rowid AS row_id,
        session_key,
        record_type,
        lane,
        subject,
        provider_name(provider) AS provider,
        created_at,
        session_id,
        executive_report_id,
        audit_id,
        outcomes,
        acknowledgement_state,
        approval_state,
        status_of_execution(record_type, execution_status, delivery_success) AS execution_status,
        CASE record_type
            WHEN 'delivery' THEN delivery_success IS DISTINCT FROM true OR coalesce(len(failed_providers), 0) > 0
            WHEN 'execution' THEN status_of_execution(record_type, execution_status, delivery_success) <> 'delivered'
            ELSE false
        END AS is_failed,
        CASE
            WHEN status_of_execution(record_type, execution_status, delivery_success) = 'skipped'
                THEN coalesce(nullif(skip_reason, ''), 'other')
        END AS skip_reason,
        has_new_subjects(lane) AS has_new_subjects,
        CASE
            WHEN has_new_subjects THEN coalesce(nullif(delivery_metadata_id, ''), nullif(new_delivery_id, ''))
        END AS retried_as,
        drop_day,
        file_name
    FROM evidence_records
    WHERE
        is_current AND record_type IN ('delivery', 'execution', 'acknowledgement', 'approval') AND lane IS NOT NULL
)
