INSERT INTO evidence_records ({{columns}}, is_current)
SELECT {{columns}}, true FROM given_records
