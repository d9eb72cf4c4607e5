-- Differs whenever the evidence does: each commit of files rewrites their rows, with its time and their digests, and
-- each pruning adds one.
SELECT sha256(string_agg(line, chr(10) ORDER BY line)) AS mark
FROM (
    SELECT drops::VARCHAR AS line FROM drops
    UNION ALL
    SELECT prunings::VARCHAR FROM prunings
)
