-- From when on each of touched_subjects is settled: a delivery of it has arrived at every provider that it was sent to or that
-- an execution names, and none fails any more. Null while one has not, and where no delivery is left.
UPDATE watched_records
SET settled_at = settled.settled_at
FROM (
    SELECT lane, subject, histories.settled_at
    FROM touched_subjects
    LEFT JOIN (
        SELECT
            lane,
            subject,
            CASE WHEN bool_and(delivered_at IS NOT NULL) THEN greatest(max(delivered_at), max(failed_at)) END AS settled_at
        FROM (
            SELECT
                lane, subject, provider,
                min(created_at) FILTER (NOT is_failed) AS delivered_at,
                max(created_at) FILTER (is_failed) AS failed_at
            FROM (
                SELECT lane, subject, created_at, outcome.provider AS provider, outcome.is_failed AS is_failed
                FROM (
                    SELECT lane, subject, created_at, unnest(outcomes) AS outcome
                    FROM watched_records
                    SEMI JOIN touched_subjects USING (lane, subject)
                    WHERE record_type = 'delivery'
                )
                UNION ALL
                SELECT lane, subject, NULL, coalesce(provider, ''), true
                FROM watched_records
                SEMI JOIN touched_subjects USING (lane, subject)
                WHERE record_type = 'execution'
            )
            GROUP BY lane, subject, provider
        )
        GROUP BY lane, subject
    ) AS histories USING (lane, subject)
) AS settled
WHERE
    watched_records.lane = settled.lane AND watched_records.subject = settled.subject
    AND watched_records.settled_at IS DISTINCT FROM settled.settled_at
