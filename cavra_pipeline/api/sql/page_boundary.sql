-- Findings or quarantined lines that pass every filter, in the order of their days, files and lines: one page of
-- them, and the total. Beyond the last page there is one row, with the total alone.
WITH matching AS (
    SELECT drop_day, source_file, line_number, {{columns}}, file_name
    FROM {{table}}
    WHERE
        ($first::DATE IS NULL OR drop_day >= $first)
        AND ($last::DATE IS NULL OR drop_day <= $last)
        AND ($word::VARCHAR IS NULL OR {{word}} = $word)
),

page AS (
    FROM matching
    ORDER BY drop_day, file_name, source_file, line_number, {{columns}}
    LIMIT $most
    OFFSET $start
)

SELECT (SELECT count(*) FROM matching) AS total, page.*
FROM (VALUES (0)) AS single_row (row)
LEFT JOIN page ON true
ORDER BY drop_day, file_name, source_file, line_number, {{columns}}
