-- Comments of every table and view of the file.
SELECT table_name AS name, comment FROM duckdb_tables() WHERE database_name = current_database()
UNION ALL
SELECT view_name, comment FROM duckdb_views() WHERE NOT internal AND database_name = current_database()
