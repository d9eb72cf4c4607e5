DELETE FROM kept_reports WHERE report = 'asked_retry_plan' AND report_id = $report_id
