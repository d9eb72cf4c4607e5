SELECT report, lane, report_day, as_of, report_id, alert_level, evidence_record_count, generated_at
FROM kept_reports
WHERE ($first::DATE IS NULL OR report_day >= $first) AND ($last::DATE IS NULL OR report_day <= $last)
ORDER BY report_day, report, lane
