-- For each group and connector: its newest notice, and what the newest one that was taken has told.
SELECT
    group_name, provider,
    max(notice_number) AS notice_number,
    arg_max(state, notice_number) AS state,
    arg_max(settled_at, notice_number) AS settled_at,
    arg_max(created_at, notice_number) AS created_at,
    arg_max(attempt_count, notice_number) AS attempt_count,
    arg_max(reason, notice_number) AS reason,
    arg_max(told::VARCHAR, notice_number) FILTER (state = 'sent') AS told,
    arg_max(created_at, notice_number) FILTER (state = 'sent') AS planned_at,
    arg_max(settled_at, notice_number) FILTER (state = 'sent') AS sent_at
FROM alert_notices
WHERE list_contains($providers::VARCHAR[], provider)
GROUP BY group_name, provider
