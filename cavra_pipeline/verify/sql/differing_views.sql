-- Views that are defined otherwise in one of two warehouses.
WITH here AS (SELECT view_name, sql FROM duckdb_views() WHERE NOT internal AND database_name = current_database()),

there AS (SELECT view_name, sql FROM duckdb_views() WHERE NOT internal AND database_name = 'derived')

SELECT DISTINCT view_name AS name
FROM ((FROM here EXCEPT ALL FROM there) UNION ALL (FROM there EXCEPT ALL FROM here))
ORDER BY name
