INSERT INTO pruned_drops BY NAME SELECT *, true AS is_closed FROM staged_drops
