-- From when on a retry's subject was known, and from when on the link to the subject that it retries.
SELECT named.since, greatest(execution.created_at, sent.created_at) AS linked_at
FROM watched_records AS execution
INNER JOIN watched_records AS sent ON sent.session_id = execution.retried_as
INNER JOIN (
    SELECT subject, min(created_at) AS since FROM watched_records WHERE lane = $lane GROUP BY subject
) AS named ON named.subject = sent.subject
WHERE
    execution.lane = $lane AND execution.record_type = 'execution' AND execution.created_at <= $until::TIMESTAMP
    AND sent.lane = $lane AND sent.record_type = 'delivery' AND sent.subject <> execution.subject
    AND named.since < greatest(execution.created_at, sent.created_at)
ORDER BY named.since, linked_at
