-- The secrets of landing files read from a commit on.
WITH named AS (
    SELECT
        left(sha256(concat_ws(
            chr(10), coalesce(f.sha256, concat_ws(chr(10), f.drop_day::VARCHAR, f.source_file, f.line_number::VARCHAR)),
            f.rule, f.path
        )), 32) AS leak_id,
        f.drop_day, f.rule, coalesce(d.ingested_at, f.drop_day::TIMESTAMP) AS found_at
    FROM finding_rows AS f
    LEFT JOIN drops AS d USING (drop_day, file_name)
    WHERE
        coalesce(d.commit_number, 0) >= $after
        AND {{is_secret}}
)
SELECT leak_id, min(drop_day) AS drop_day, min(rule) AS rule, min(found_at) AS found_at
FROM named
GROUP BY leak_id
ORDER BY drop_day, leak_id
