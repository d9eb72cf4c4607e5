INSERT INTO {{table}} BY NAME SELECT * FROM given_{{table}}
