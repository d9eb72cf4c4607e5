-- Rejected lines of the landing files of each instant's window: the report says how much it does not know.
WITH held AS (
    SELECT drop_day, count(*) AS line_count FROM quarantine GROUP BY drop_day
)

SELECT asked.number, coalesce(sum(held.line_count), 0)::BIGINT AS quarantined_record_count
FROM asked($instants::TIMESTAMP[]) AS asked
INNER JOIN asked($window_starts::TIMESTAMP[]) AS starts ON starts.number = asked.number
LEFT JOIN held ON held.drop_day >= starts.as_of::DATE AND held.drop_day <= asked.as_of::DATE
GROUP BY asked.number
ORDER BY asked.number
