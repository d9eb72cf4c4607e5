INSERT INTO retry_links BY NAME
SELECT
    link.lane, link.retried_as, link.subject, link.provider, link.linked_at, link.session_id,
    sent.subject AS retry_subject, sent.created_at AS sent_at
FROM (
    SELECT lane, retried_as, subject, provider, created_at AS linked_at, session_id
    FROM watched_records
    WHERE record_type = 'execution' AND subject <> '' AND retried_as IN (FROM touched_links)
    QUALIFY row_number() OVER (PARTITION BY lane, retried_as ORDER BY created_at, session_id) = 1
) AS link
LEFT JOIN (
    SELECT lane, session_id, subject, created_at
    FROM watched_records
    WHERE record_type = 'delivery' AND session_id IN (FROM touched_links)
) AS sent ON sent.lane = link.lane AND sent.session_id = link.retried_as
