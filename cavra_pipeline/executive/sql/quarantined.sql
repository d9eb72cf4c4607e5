-- Rejected lines of the landing files of each instant's window: the report says how much it does not know.
WITH rejected AS (
    SELECT drop_day, count(*) AS line_count FROM quarantine GROUP BY drop_day
)

SELECT instants.number, coalesce(sum(rejected.line_count), 0)::BIGINT AS quarantined_record_count
FROM numbered($instants::TIMESTAMP[]) AS instants
INNER JOIN numbered($window_starts::TIMESTAMP[]) AS starts ON starts.number = instants.number
LEFT JOIN rejected ON rejected.drop_day >= starts.as_of::DATE AND rejected.drop_day <= instants.as_of::DATE
GROUP BY instants.number
ORDER BY instants.number
