INSERT INTO reports VALUES (
    $report, $lane, $report_day, $as_of, $report_id, $alert_level, $evidence_record_count, $generated_at, $document
)
