-- What was said last of a pair, also where a wrong clock, by up to a day, has dated it after now.
SELECT max(created_at) AS newest_at
FROM acknowledgements
WHERE
    lane = $lane AND subject = $subject AND provider = $provider AND created_at <= $as_of::TIMESTAMP + INTERVAL 1 DAY
