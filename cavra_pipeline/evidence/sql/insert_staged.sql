INSERT INTO {{table}} BY NAME SELECT * FROM staged_{{table}}
