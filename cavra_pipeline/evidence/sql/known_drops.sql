SELECT drop_day, file_name, fingerprint FROM drops ORDER BY drop_day, file_name
