-- The lane's watched records that a health report of the instants is based on: all but subjects settled before the earliest window.
FROM watched_records
WHERE
    lane = $lane AND created_at <= list_max($instants::TIMESTAMP[])
    AND (settled_at IS NULL OR settled_at > list_min($window_starts::TIMESTAMP[]))
