SELECT count(*) AS failed_delivery_count
FROM deliveries
WHERE
    lane = $lane AND created_at <= $as_of AND created_at > $window_start
    AND list_bool_or(list_transform(outcomes, lambda o: o.is_failed))
