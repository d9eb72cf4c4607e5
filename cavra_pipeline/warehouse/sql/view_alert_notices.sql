CREATE OR REPLACE VIEW alert_notices AS
SELECT
    notice_id, provider, group_name, notice_number, notice, alert_level, state, attempt_count, created_at,
    next_attempt_at, settled_at, status_code, reason, document ->> 'title' AS title,
    CAST(document -> 'facts' ->> 'swallowed_count' AS BIGINT) AS swallowed_count
FROM alert_outbox
