-- Recoveries of which the escalation plans stay.
SELECT subject FROM told_subjects
UNION
SELECT subject FROM open_subjects WHERE lane = $lane
