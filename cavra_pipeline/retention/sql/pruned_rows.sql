SELECT * EXCLUDE (pruning_number) FROM {{table}} WHERE pruning_number = $number ORDER BY ALL
