-- What the boundary held back or found in the landing files up to each instant's day.
WITH by_day AS (
    SELECT drop_day, count(*) AS quarantined, 0 AS found, 0 AS unknown FROM quarantine GROUP BY drop_day
    UNION ALL
    SELECT drop_day, 0, count(*), 0 FROM findings GROUP BY drop_day
    UNION ALL
    SELECT drop_day, sum(quarantined_count), sum(finding_count), 0 FROM pruned_drops GROUP BY drop_day
    UNION ALL
    SELECT drop_day, 0, 0, sum(unknown_kind_count) FROM drops GROUP BY drop_day
)

SELECT
    coalesce(sum(quarantined), 0)::BIGINT AS quarantined_record_count,
    coalesce(sum(found), 0)::BIGINT AS redaction_finding_count,
    coalesce(sum(unknown), 0)::BIGINT AS unknown_kind_record_count
FROM asked($instants::TIMESTAMP[]) AS asked
LEFT JOIN by_day ON by_day.drop_day <= asked.as_of::DATE
GROUP BY asked.number
ORDER BY asked.number
