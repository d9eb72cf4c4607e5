SELECT drop_day, file_name FROM drops WHERE error IS NOT NULL ORDER BY drop_day, file_name
