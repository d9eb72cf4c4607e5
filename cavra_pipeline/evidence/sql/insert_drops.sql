INSERT INTO drops BY NAME
SELECT given_drops.* EXCLUDE (number), (SELECT commit_number + 1 FROM identity) AS commit_number
FROM given_drops
ANTI JOIN drops USING (drop_day, file_name)
