INSERT INTO drops BY NAME
SELECT staged_drops.* EXCLUDE (number), (SELECT commit_number + 1 FROM identity) AS commit_number
FROM staged_drops
ANTI JOIN drops USING (drop_day, file_name)
