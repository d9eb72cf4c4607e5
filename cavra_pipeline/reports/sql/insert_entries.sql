INSERT INTO report_entries
SELECT
    (SELECT coalesce(max(number), 0) FROM report_entries) + row_number() OVER (ORDER BY place) AS number, digest, entry
FROM given_entries
ANTI JOIN report_entries USING (digest)
