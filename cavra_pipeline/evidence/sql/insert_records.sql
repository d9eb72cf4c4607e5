INSERT INTO evidence_records ({{columns}}, drop_day, file_name, line_number, is_current)
SELECT {{columns}}, origin.drop_day, origin.file_name, line_number & {{line_mask}}, true
FROM given_records
INNER JOIN (SELECT number, drop_day, file_name FROM given_drops WHERE error IS NULL) AS origin
    ON origin.number = given_records.line_number >> {{line_bits}}
