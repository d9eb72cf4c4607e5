-- What was said last of a pair, also where a wrong clock has dated it after now.
SELECT
    max(created_at) AS newest_at,
    last(acknowledgement_state ORDER BY created_at, session_id) AS state
FROM acknowledgements
WHERE
    lane = $lane AND subject = $subject AND provider = $provider AND created_at <= $until::TIMESTAMP
