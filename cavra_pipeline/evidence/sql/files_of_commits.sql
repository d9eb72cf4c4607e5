-- The landing files that commits after the given one have read.
SELECT
    drop_day, file_name, coalesce(sha256, '') AS sha256, ingested_at, received_count, quarantined_count, commit_number
FROM drops
WHERE commit_number > $after AND fingerprint <> ''
ORDER BY drop_day, file_name
