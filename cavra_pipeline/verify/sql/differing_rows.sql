-- Rows that only one of two warehouses has, by their place. Hashes of whole rows are compared, of 64 bits.
WITH here AS (SELECT {{place}}, hash({{columns}}) AS digest FROM {{table}} {{only}}),

there AS (SELECT {{place}}, hash({{columns}}) AS digest FROM derived.{{table}} {{only}})

SELECT * EXCLUDE (digest, is_here), count(*) FILTER (is_here) AS extra_count, count(*) FILTER (NOT is_here) AS missing_count
FROM (
    SELECT *, true AS is_here FROM (FROM here EXCEPT ALL FROM there)
    UNION ALL
    SELECT *, false FROM (FROM there EXCEPT ALL FROM here)
)
GROUP BY ALL
ORDER BY ALL
