-- Every pair that any version of a lane's records names of the given subjects.
SELECT DISTINCT {{place}} AS place
FROM (
    SELECT subject, provider_name(provider) AS provider
    FROM evidence_records
    WHERE lane = $lane AND subject IN (SELECT subject FROM staged_subjects)
    UNION ALL
    SELECT subject, unnest(outcomes).provider AS provider
    FROM evidence_records
    WHERE lane = $lane AND subject IN (SELECT subject FROM staged_subjects)
)
WHERE provider <> ''
