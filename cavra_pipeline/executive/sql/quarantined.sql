-- Lines of the window's drops that could not be kept, so that the report knows what it does not know.
SELECT count(*) AS quarantined_record_count
FROM quarantine
WHERE drop_day >= $window_start::DATE AND drop_day <= $as_of::DATE
