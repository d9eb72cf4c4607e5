DELETE FROM reports
USING given_reports AS given
WHERE
    reports.report = given.report AND reports.lane IS NOT DISTINCT FROM given.lane
    AND reports.report_day = given.report_day
