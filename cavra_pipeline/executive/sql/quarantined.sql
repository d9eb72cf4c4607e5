-- Lines of the drops of each instant's window that could not be kept, so that the report knows what it does not know.
WITH held AS (
    SELECT drop_day, count(*) AS line_count FROM quarantine GROUP BY drop_day
)

SELECT asked.number, coalesce(sum(held.line_count), 0)::BIGINT AS quarantined_record_count
FROM asked($instants::TIMESTAMP[]) AS asked
INNER JOIN asked($window_starts::TIMESTAMP[]) AS starts ON starts.number = asked.number
LEFT JOIN held ON held.drop_day >= starts.as_of::DATE AND held.drop_day <= asked.as_of::DATE
GROUP BY asked.number
ORDER BY asked.number
