-- Which reports of these days are kept already, and what they say of records after their instant.
SELECT report_day, report_id, future_record_count
FROM kept_reports
WHERE report = $report AND lane IS NOT DISTINCT FROM $lane::VARCHAR AND list_contains($days::DATE[], report_day)
ORDER BY report_day
