SELECT count(*) AS count
FROM findings
WHERE
    ($first::DATE IS NULL OR drop_day >= $first)
    AND ($last::DATE IS NULL OR drop_day <= $last)
    AND ($rule::VARCHAR IS NULL OR rule = $rule)
