DELETE FROM reports WHERE report = 'asked_retry_plan' AND report_id = $report_id
