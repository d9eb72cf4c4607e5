-- Kept reports, newest day first, from a place on. Documents are put together for this page only, if they are wanted.
WITH page AS (
    SELECT *
    FROM kept_reports
    WHERE
        ($report::VARCHAR IS NULL OR report = $report)
        AND ($lane::VARCHAR IS NULL OR lane = $lane)
        AND ($alert_level::VARCHAR IS NULL OR alert_level = $alert_level)
        AND ($first::DATE IS NULL OR report_day >= $first)
        AND ($last::DATE IS NULL OR report_day <= $last)
        AND ($report_id::VARCHAR IS NULL OR report_id = $report_id)
        AND (
            $after_day::DATE IS NULL
            OR (report_day, generated_at, report_id, report) < ($after_day::DATE, $after_at::TIMESTAMP, $after_id, $after_report)
        )
    ORDER BY report_day DESC, generated_at DESC, report_id DESC, report DESC
    LIMIT $most
)

SELECT
    report, lane, report_day, as_of, report_id, alert_level, evidence_record_count, generated_at,
    CASE WHEN $documents::BOOLEAN THEN document_of(opening, entries, closing) END AS document
FROM page
ORDER BY report_day DESC, generated_at DESC, report_id DESC, report DESC
