SELECT held.*, made.document::VARCHAR AS document
FROM kept_reports AS held
INNER JOIN reports AS made
    ON held.report = made.report AND held.lane IS NOT DISTINCT FROM made.lane AND held.report_day = made.report_day
    AND held.report_id = made.report_id
