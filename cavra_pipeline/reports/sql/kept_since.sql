-- The kept reports from a day on, with the members that say what they were judged by; none of these is a list of entries.
SELECT report, lane, report_day, report_id, as_of, json_extract(opening || closing, $paths::VARCHAR[]) AS members
FROM kept_reports
WHERE report_day >= $first AND report <> 'asked_retry_plan'
ORDER BY report_day, report, lane
