-- The pairs whose newest acknowledgement lets a live retry go ahead (contract section 8). The operator's last word must
-- say so too where a wrong clock, by up to a day, has dated it after now.
SELECT newest.subject, newest.provider
FROM newest_acknowledgements($lane, $as_of::TIMESTAMP) AS newest
INNER JOIN newest_acknowledgements($lane, $as_of::TIMESTAMP + INTERVAL 1 DAY) AS last_word USING (subject, provider)
WHERE
    newest.acknowledgement_state IN ('acknowledged', 'accepted', 'resolved')
    AND last_word.acknowledgement_state IN ('acknowledged', 'accepted', 'resolved')
ORDER BY newest.subject, newest.provider
