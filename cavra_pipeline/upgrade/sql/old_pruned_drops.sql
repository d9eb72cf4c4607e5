-- What was pruned of each closed landing file, and the lines from before the horizon that stayed.
SELECT
    p.drop_day, p.file_name, sum(p.record_count)::BIGINT AS record_count,
    sum(p.quarantined_count)::BIGINT AS quarantined_count, sum(p.finding_count)::BIGINT AS finding_count,
    coalesce((
        SELECT list(e.line_number ORDER BY e.line_number)
        FROM evidence_records AS e
        WHERE
            e.drop_day = p.drop_day AND e.file_name = p.file_name
            AND e.created_at < (SELECT max(horizon) FROM prunings)
    ), []) AS remaining_lines
FROM pruned_drops AS p
WHERE p.is_closed
GROUP BY p.drop_day, p.file_name
ORDER BY p.drop_day, p.file_name
