-- Stands in for a table in the statements of this connection; the condition is made of instants and days of ours.
CREATE OR REPLACE TEMP VIEW {{table}} AS
SELECT *
FROM {{database}}.main.{{table}}
WHERE {{condition}}
