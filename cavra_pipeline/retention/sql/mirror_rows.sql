INSERT INTO {{table}} BY NAME SELECT * FROM staged_rows
