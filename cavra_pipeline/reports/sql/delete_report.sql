DELETE FROM reports
WHERE report = $report AND lane IS NOT DISTINCT FROM $lane::VARCHAR AND report_day = $report_day
