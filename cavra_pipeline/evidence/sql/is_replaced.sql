SELECT count(*) > 0 AS is_replaced FROM replaced
