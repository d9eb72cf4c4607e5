-- Secrets that were never found before; what an earlier release noted is known by its place.
INSERT INTO leaks BY NAME
WITH named AS (
    SELECT
        drop_day, rule, place_id(drop_day, source_file, line_number, rule, path) AS place_id,
        CASE WHEN sha256 IS NOT NULL THEN left(sha256(concat_ws(chr(10), sha256, rule, path)), 32) END AS content_id
    FROM given_leaks
),
fresh AS (
    SELECT DISTINCT ON (coalesce(content_id, place_id))
        coalesce(content_id, place_id) AS leak_id, drop_day, rule
    FROM named
    WHERE NOT EXISTS (FROM leaks AS l WHERE l.leak_id IN (named.content_id, named.place_id))
    ORDER BY coalesce(content_id, place_id), drop_day, rule
)
SELECT
    (SELECT coalesce(max(leak_number), 0) FROM leaks) + row_number() OVER (ORDER BY drop_day, leak_id) AS leak_number,
    leak_id, drop_day, rule, $now::TIMESTAMP AS found_at, NULL::TIMESTAMP AS handled_at
FROM fresh
