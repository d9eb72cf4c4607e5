INSERT INTO drops BY NAME
SELECT * EXCLUDE (number) FROM given_drops ANTI JOIN drops USING (drop_day, file_name)
