-- Secrets found before there was this table. Those of a day whose alert was acknowledged are handled.
INSERT INTO leaks BY NAME
SELECT
    row_number() OVER (ORDER BY found.drop_day, found.leak_id) AS leak_number,
    found.leak_id, found.drop_day, found.rule, found.found_at,
    (
        SELECT max(a.acknowledged_at) FROM alerts AS a
        WHERE a.kind = 'secret_finding' AND a.subject = found.drop_day::VARCHAR
    ) AS handled_at
FROM (
    SELECT DISTINCT
        place_id(f.drop_day, f.source_file, f.line_number, f.rule, f.path) AS leak_id,
        f.drop_day, f.rule, coalesce(d.ingested_at, f.drop_day::TIMESTAMP) AS found_at
    FROM findings AS f
    LEFT JOIN drops AS d USING (drop_day, file_name)
    WHERE f.action IN ('dropped', 'quarantined') AND NOT list_contains($not_secrets::VARCHAR[], f.rule)
) AS found
