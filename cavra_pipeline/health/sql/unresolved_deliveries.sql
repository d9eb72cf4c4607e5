-- Failing pairs, and where the lane needs one, whether their newest acknowledgement lets a retry go ahead.
SELECT
    failing.subject,
    failing.provider,
    failing.failing_since,
    acknowledged.acknowledgement_state,
    coalesce(acknowledged.acknowledgement_state IN ('acknowledged', 'accepted', 'resolved'), false) AS is_acknowledged
FROM failing_pairs($lane, $as_of::TIMESTAMP) AS failing
LEFT JOIN newest_acknowledgements($lane, $as_of::TIMESTAMP) AS acknowledged USING (subject, provider)
ORDER BY failing.subject, failing.provider
