INSERT INTO evidence_records ({{columns}}, drop_day, file_name, line_number, is_current, session_key, subject_key)
SELECT
    {{columns}},
    $drop_days[(line_number >> {{line_bits}}) + 1],
    $file_names[(line_number >> {{line_bits}}) + 1],
    line_number & {{line_mask}},
    true,
    key_of(session_id),
    key_of(subject)
FROM staged_records
WHERE $file_names[(line_number >> {{line_bits}}) + 1] IS NOT NULL
