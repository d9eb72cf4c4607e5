-- The subjects of a lane's deliveries that resemble a name most; the caller compares these few closely.
SELECT subject
FROM (SELECT DISTINCT subject FROM delivery_outcomes WHERE lane = $lane AND subject IS NOT NULL)
ORDER BY jaro_winkler_similarity(subject, $subject) DESC, subject
LIMIT 50
