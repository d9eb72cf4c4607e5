-- How many episodes each kind and subject that is given has had.
SELECT g.kind, g.subject, max(a.episode) AS episode
FROM given_subjects AS g
INNER JOIN alerts AS a USING (kind, subject)
GROUP BY g.kind, g.subject
