-- What a record other than a delivery means: its type and lane are those of its kind (contract section 4).
WITH lines AS ({{lines}})
SELECT *, {{record_type}} AS record_type, {{lane}} AS lane, {{subject}} AS subject
FROM lines
