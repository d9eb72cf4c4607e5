SELECT pruning_number FROM prunings ORDER BY pruning_number
