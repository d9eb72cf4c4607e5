SELECT document
FROM reports
WHERE report IN ('retry_plan', 'asked_retry_plan') AND report_id = $report_id AND lane = $lane
ORDER BY generated_at DESC
LIMIT 1
