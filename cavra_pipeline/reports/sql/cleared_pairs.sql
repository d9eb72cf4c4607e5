-- The pairs whose newest acknowledgement lets a live retry go ahead (contract section 8). The operator's last word must
-- say so too where a wrong clock has dated it after the instant.
SELECT newest.subject, newest.provider
FROM newest_acknowledgements($lane, $as_of::TIMESTAMP) AS newest
INNER JOIN newest_acknowledgements($lane, $until::TIMESTAMP) AS last_word USING (subject, provider)
WHERE
    list_contains($clearing::VARCHAR[], newest.acknowledgement_state)
    AND list_contains($clearing::VARCHAR[], last_word.acknowledgement_state)
ORDER BY newest.subject, newest.provider
