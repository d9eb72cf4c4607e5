-- Leaf hashes of each of the given segments that has records, in their order.
SELECT lane, segment_day, list(leaf ORDER BY created_at, session_id) AS leaves
FROM ({{leaves}})
GROUP BY lane, segment_day
ORDER BY lane, segment_day
