SELECT report, lane, report_day, report_id, document
FROM reports
WHERE report_day >= $first
ORDER BY report_day, report, lane
