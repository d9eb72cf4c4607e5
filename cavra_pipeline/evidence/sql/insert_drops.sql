INSERT INTO drops BY NAME
SELECT * FROM given_drops ANTI JOIN drops USING (drop_day, file_name)
