-- The current records of one kind of a lane that pairs are judged by, or those of given subjects and their retries.
SELECT
    record_type, subject, provider_name(provider) AS provider, outcomes, created_at, session_id, {{content}} AS content
FROM evidence_records
WHERE is_current AND lane = $lane AND {{of_kind}} AND {{chosen}}
