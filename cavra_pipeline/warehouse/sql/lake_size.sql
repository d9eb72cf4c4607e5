-- Bytes of the data files that are in use.
SELECT coalesce(sum(file_size_bytes), 0)::BIGINT AS data_bytes, coalesce(sum(file_count), 0)::BIGINT AS file_count
FROM ducklake_table_info('{{lake}}')
