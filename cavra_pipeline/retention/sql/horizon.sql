-- What was created before it has been pruned; null if nothing was.
SELECT max(horizon) AS horizon FROM prunings
