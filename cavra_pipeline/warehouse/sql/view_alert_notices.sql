CREATE OR REPLACE VIEW alert_notices AS
SELECT
    notice.notice_id, notice.plan_id, notice.provider, notice.group_name, notice.notice_number, notice.notice,
    notice.alert_level, notice.told,
    CASE intent.state WHEN 'done' THEN 'sent' WHEN 'refused' THEN 'failed' ELSE 'pending' END AS state,
    intent.claim_count AS attempt_count, notice.created_at, coalesce(intent.due_at, notice.created_at) AS next_attempt_at,
    CASE WHEN intent.state IN ('done', 'refused') THEN intent.completed_at END AS settled_at, intent.status_code,
    intent.reason, notice.document ->> 'title' AS title,
    CAST(notice.document -> 'facts' ->> 'swallowed_count' AS BIGINT) AS swallowed_count,
    CAST(notice.document -> 'alert_ids' AS VARCHAR[]) AS alert_ids
FROM alert_outbox AS notice
INNER JOIN send_intents AS intent ON notice.notice_id = intent.intent_id
