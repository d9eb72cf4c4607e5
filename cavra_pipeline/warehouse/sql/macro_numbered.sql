-- Instants, in ascending order without repeats, numbered from 1.
CREATE OR REPLACE MACRO numbered(instants) AS TABLE
SELECT unnest(instants) AS as_of, generate_subscripts(instants, 1) AS number
