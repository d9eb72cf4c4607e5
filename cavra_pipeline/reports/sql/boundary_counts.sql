-- What the boundary held back or found in the landing files up to each instant's day.
WITH by_day AS (
    SELECT drop_day, count(*) AS quarantined, 0 AS findings, 0 AS unknown FROM quarantine GROUP BY drop_day
    UNION ALL
    SELECT drop_day, 0, count(*), 0 FROM findings GROUP BY drop_day
    UNION ALL
    SELECT drop_day, sum(quarantined_count), sum(finding_count), 0 FROM pruned_drops GROUP BY drop_day
    UNION ALL
    SELECT drop_day, 0, 0, sum(unknown_kind_count) FROM drops GROUP BY drop_day
)

SELECT
    coalesce(sum(quarantined), 0)::BIGINT AS quarantined_record_count,
    coalesce(sum(findings), 0)::BIGINT AS redaction_finding_count,
    coalesce(sum(unknown), 0)::BIGINT AS unknown_kind_record_count
FROM numbered($instants::TIMESTAMP[]) AS instants
LEFT JOIN by_day ON by_day.drop_day <= instants.as_of::DATE
GROUP BY instants.number
ORDER BY instants.number
