SELECT {{columns}}, {{key_count}} AS key_count
FROM read_json(
    '{{path}}',
    columns = { {{shape}} },
    format = 'newline_delimited',
    ignore_errors = {{ignore_errors}},
    maximum_object_size = {{max_bytes}}
)
