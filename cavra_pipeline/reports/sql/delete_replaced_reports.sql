DELETE FROM kept_reports AS held
USING given_reports AS given
WHERE
    held.report = given.report AND held.lane IS NOT DISTINCT FROM given.lane AND held.report_day = given.report_day
