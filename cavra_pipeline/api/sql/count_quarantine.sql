SELECT count(*) AS count
FROM quarantine
WHERE
    ($first::DATE IS NULL OR drop_day >= $first)
    AND ($last::DATE IS NULL OR drop_day <= $last)
    AND ($reason::VARCHAR IS NULL OR reason = $reason)
