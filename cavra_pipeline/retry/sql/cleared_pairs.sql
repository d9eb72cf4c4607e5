-- The pairs whose newest acknowledgement lets a live retry go ahead (contract section 8). The operator's last word must
-- say so too where a wrong clock, by up to a day, has dated it after now.
SELECT newest.subject, newest.provider
FROM newest_acknowledgements($lane, $as_of::TIMESTAMP) AS newest
INNER JOIN newest_acknowledgements($lane, $as_of::TIMESTAMP + INTERVAL 1 DAY) AS last_word USING (subject, provider)
WHERE
    list_contains($clearing::VARCHAR[], newest.acknowledgement_state)
    AND list_contains($clearing::VARCHAR[], last_word.acknowledgement_state)
ORDER BY newest.subject, newest.provider
