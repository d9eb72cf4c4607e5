INSERT INTO {{table}} BY NAME SELECT * FROM given_rows
