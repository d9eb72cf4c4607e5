INSERT INTO send_intents BY NAME
SELECT
    notice_id AS intent_id, 'notice' AS purpose, lane, group_name AS subject, provider,
    notice_id AS idempotency_id,
    json_object(
        'idempotency_id', notice_id, 'event_type', 'cavra.alert.' || notice, 'title', document -> 'title',
        'summary', document -> 'summary', 'severity', document -> 'severity', 'subject', document -> 'subject',
        'occurred_at', document -> 'occurred_at', 'facts', document -> 'facts'
    ) AS message,
    json_object('notice', notice, 'alert_ids', document -> 'alert_ids') AS context,
    CASE state WHEN 'sent' THEN 'done' WHEN 'failed' THEN 'refused' ELSE state END AS state,
    attempt_count AS claim_count, created_at, next_attempt_at AS due_at, settled_at AS completed_at, reason, status_code
FROM alert_outbox
