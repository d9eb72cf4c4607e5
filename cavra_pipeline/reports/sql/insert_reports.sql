INSERT INTO reports BY NAME SELECT * FROM given_reports
