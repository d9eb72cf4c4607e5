SELECT DISTINCT drop_day, file_name FROM pruned_drops WHERE is_closed ORDER BY drop_day, file_name
