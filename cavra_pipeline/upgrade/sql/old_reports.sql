SELECT saved.*, report_versions.document::VARCHAR AS document
FROM kept_reports AS saved
INNER JOIN reports AS report_versions
    ON saved.report = report_versions.report AND saved.lane IS NOT DISTINCT FROM report_versions.lane
    AND saved.report_day = report_versions.report_day AND saved.report_id = report_versions.report_id
