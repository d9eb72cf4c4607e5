SELECT report, lane, report_day, report_id, document
FROM reports
WHERE report_day >= $first AND report <> 'asked_retry_plan'
ORDER BY report_day, report, lane
