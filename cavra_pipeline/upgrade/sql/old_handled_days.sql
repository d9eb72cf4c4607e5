-- Days of which the newest alert about secrets was acknowledged, and no file with a finding was read after that.
SELECT subject::DATE AS drop_day, acknowledged_at AS handled_at
FROM alerts
WHERE
    kind = 'secret_finding'
    AND NOT EXISTS (
        SELECT 1
        FROM findings
        INNER JOIN drops USING (drop_day, file_name)
        WHERE findings.drop_day = alerts.subject::DATE AND drops.ingested_at > alerts.acknowledged_at
    )
QUALIFY row_number() OVER (PARTITION BY subject ORDER BY episode DESC) = 1 AND acknowledged_at IS NOT NULL
ORDER BY drop_day
