-- Columns of every table and view of the file, in order, with their types and comments.
SELECT columns.table_name, columns.column_name, columns.data_type, columns.comment
FROM duckdb_columns() AS columns
WHERE
    NOT columns.internal AND columns.database_name = current_database() AND columns.schema_name = 'main'
    AND NOT starts_with(columns.table_name, 'staged_')
ORDER BY columns.table_name, columns.column_index
