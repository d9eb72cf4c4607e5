-- The versions of records from before the horizon on which no answer after it rests. What stays: the newest worker run
-- and retry plan of each lane, the newest acknowledgement of each pair, every playbook, closure and alert plan (a recovery
-- may be opened again at any time, and an alert acknowledged), and the history of what is not over. What a lane asks for
-- before a retry is sent stays too.
CREATE OR REPLACE TEMP TABLE removable AS
WITH old AS (
    SELECT
        rowid AS row_id,
        is_current,
        record_type,
        lane,
        CASE record_type
            WHEN 'escalation_plan' THEN coalesce(nullif(plan_id, ''), session_id)
            WHEN 'auditor_export' THEN export_id
            WHEN 'closeout_summary' THEN summary_id
            ELSE coalesce(subject, '')
        END AS subject,
        {'at': created_at, 'id': session_id} AS stamp,
        provider_name(provider) AS provider,
        health_id
    FROM evidence_records
    WHERE created_at < $horizon
),

stays AS (
    SELECT row_id
    FROM old
    WHERE record_type IN ('delivery', 'execution', 'acknowledgement', 'approval', 'escalation_plan')
    AND (
        (lane, subject) IN (SELECT (lane, subject) FROM open_subjects)
        OR lane = $lane AND subject IN (SELECT subject FROM needed_plans)
    )
    UNION
    SELECT row_id FROM old WHERE stamp.id IN (SELECT session_id FROM settling_deliveries)
    UNION
    SELECT row_id FROM causes
    UNION
    SELECT row_id FROM old WHERE record_type IN ('playbook', 'closure', 'alert_plan')
    UNION
    SELECT arg_max(row_id, stamp)
    FROM old
    WHERE is_current AND record_type IN ('worker_run', 'retry_plan')
    GROUP BY lane, record_type
    UNION
    SELECT arg_max(row_id, stamp)
    FROM old
    WHERE is_current AND record_type IN ('acknowledgement', 'auditor_export', 'closeout_summary')
    GROUP BY lane, record_type, subject, health_id, provider
)

SELECT row_id FROM old WHERE NOT is_current OR row_id NOT IN (SELECT row_id FROM stays)
